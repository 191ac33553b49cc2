// Which items of a task, as people write it: "0-19", "3-9993:10" (every tenth), "7", or several with commas between.

const RANGE = /^(\d+)(?:-(\d+)(?::(\d+))?)?$/;

/**
 * Item numbers, ascending, each once.
 * @param count items that the task has
 * @throws RangeError that says what is wrong with the text
 */
export function parseItems(text: string, count: number): number[] {
  const numbers = text.split(",").flatMap((part) => {
    const [, first, last = first, step = "1"] = RANGE.exec(part.trim()) ?? [];
    if (first === undefined || Number(step) < 1 || Number(last) < Number(first)) {
      throw new RangeError(`"${part}" is no range of items: write 7, 0-19 or 3-9993:10`);
    }
    if (Number(last) >= count) throw new RangeError(`item ${last} is not there: the items are 0 to ${count - 1}`);
    const length = Math.floor((Number(last) - Number(first)) / Number(step)) + 1;
    return Array.from({ length }, (_, i) => Number(first) + i * Number(step));
  });
  return [...new Set(numbers)].sort((a, b) => a - b);
}

/** The shortest way to write ascending item numbers: what `parseItems` reads. */
export function formatItems(numbers: readonly number[]): string {
  const parts: string[] = [];
  for (let at = 0; at < numbers.length; ) {
    const first = numbers[at] as number;
    const step = (numbers[at + 1] ?? first + 1) - first;
    let end = at + 1;
    while (end < numbers.length && numbers[end] === first + step * (end - at)) end++;
    const last = numbers[end - 1] as number;
    parts.push(end === at + 1 ? `${first}` : `${first}-${last}${step === 1 ? "" : `:${step}`}`);
    at = end;
  }
  return parts.join(",");
}

/** *The sample*: every tenth item from number 3, at most 1,000 of them. The head of a file need not be like the rest. */
export const sampleOf = (count: number): number[] =>
  Array.from({ length: Math.max(0, Math.min(1000, Math.ceil((count - 3) / 10))) }, (_, i) => 3 + 10 * i);
