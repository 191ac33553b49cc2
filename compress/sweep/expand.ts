// A line of a sweep's grid: a method of `franken compress` with its options, where a value may be several with commas between.

/**
 * `gptq --bits 4,3 --block 32,64` is four commands. Arguments that belong to no option stay as they are.
 * @returns the arguments of each, in the order in which they are written
 */
export function expand(line: string): string[][] {
  const words = line
    .trim()
    .split(/\s+/)
    .filter((word) => word !== "");
  return words.reduce<string[][]>(
    (lines, word, i) => {
      const isValue = words[i - 1]?.startsWith("--") && !word.startsWith("--");
      const values = isValue ? word.split(",").filter((value) => value !== "") : [word];
      return lines.flatMap((before) => values.map((value) => [...before, value]));
    },
    words.length === 0 ? [] : [[]],
  );
}
