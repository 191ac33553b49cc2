// Cuts a text into segments that can be encoded one by one, so that a long prompt does not hold up the other requests of the isolate.

/** Of a tokenizer that finds words itself, segments end at the first border after this many characters. */
export const SEGMENT = 2048;
/**
 * Most characters without a border, of which one beyond ASCII counts as two. Byte-level BPE takes up to 7 us a character in a run of spaces,
 * and 12 us where one has three bytes, so that a segment takes no more than some 60 ms without a turn of the event loop.
 */
export const MAX_RUN = 6144;
const BEYOND_ASCII = /[^\0-\x7f]/g;
const weightOf = (run: string): number => run.length + (run.match(BEYOND_ASCII)?.length ?? 0);

/** The first place from `from` on that no token crosses, whatever stands around it; the text's length where there is none. */
export type FindBorder = (text: string, from: number) => number;

function borderAt(pattern: RegExp): FindBorder {
  return (text, from) => {
    pattern.lastIndex = from;
    return pattern.exec(text)?.index ?? text.length;
  };
}

/**
 * Of GPT-2's pattern: before a run of white space, and between a sign and a letter. (No word goes over them, and it looks ahead only for
 * white space; the apostrophe is left out because of 's and the like.)
 */
export const wordBorder = borderAt(/(?<=\S)(?=\s)|(?<=[^\s\p{L}\p{N}'])(?=\p{L})/gu);

/**
 * Of Llama 3's pattern and its like: before white space other than a line break, which goes with the signs before it, and after a letter
 * or a digit that neither such nor a mark follows. (Letters and digits come last in every word of theirs.)
 */
export const patternBorder = borderAt(
  /(?<=\P{White_Space})(?=[^\P{White_Space}\r\n])|(?<=[\p{L}\p{N}])(?=[^\p{L}\p{N}\p{M}])/gu,
);

/**
 * Of merges without words: between two characters that no merge joins. A token over such a place would be made by a merge whose left side
 * ends with the one and whose right side begins with the other.
 */
export function joinBorder(merges: readonly (string | readonly string[])[]): FindBorder {
  const joined = new Map<string, Set<string>>();
  for (const merge of merges) {
    const [left = "", right = ""] = typeof merge === "string" ? merge.split(" ", 2) : merge;
    const last = /.$/su.exec(left)?.[0] ?? "";
    const after = joined.get(last) ?? new Set();
    joined.set(last, after.add(firstOf(right)));
  }
  return (text, from) => {
    // From the beginning of the character before.
    let at = from - (isLow(text, from - 1) ? 2 : 1);
    let character = at < 0 ? "" : firstOf(text, at);
    for (at = Math.max(0, at) + character.length; at < text.length; ) {
      const next = firstOf(text, at);
      if (at >= from && !joined.get(character)?.has(next)) return at;
      character = next;
      at += next.length;
    }
    return text.length;
  };
}

const firstOf = (text: string, at = 0): string => String.fromCodePoint(text.codePointAt(at) ?? 0);
const isLow = (text: string, at: number): boolean => (text.charCodeAt(at) & 0xfc00) === 0xdc00;

export class RunTooLongError extends Error {
  override readonly name = "RunTooLongError";
}

/**
 * @param least segments end at the first border after this many characters
 * @throws RunTooLongError when more than `MAX_RUN` characters, weighed as it says, have no border between them
 */
export function* segments(text: string, findBorder: FindBorder, least: number): Generator<string> {
  let start = 0;
  let searched = 0;
  while (text.length - start > least) {
    const border = findBorder(text, Math.max(searched, start + least));
    searched = border;
    const length = border - start;
    // Most segments are short: those are not looked through.
    if (
      2 * length > least + MAX_RUN &&
      (length > least + MAX_RUN || weightOf(text.slice(start, border)) > least + MAX_RUN)
    ) {
      throw new RunTooLongError(
        `a run of ${border - start - least} characters and more has no place in it, such as white space, where a token must end; at most ${MAX_RUN} can be read, and half as many of other characters than ASCII`,
      );
    }
    yield text.slice(start, border);
    start = border;
  }
  if (start < text.length) yield text.slice(start);
}
