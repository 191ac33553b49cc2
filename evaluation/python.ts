// String operations as Python does them: the evaluation harness is written in it, and its white space is not JavaScript's.

/** What `str.isspace` and `\s` in `re` hold for white space, as the inside of a character class. */
export const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

const LEADING = new RegExp(`^[${SPACE}]+`);
const TRAILING = new RegExp(`[${SPACE}]+$`);
const RUN = new RegExp(`[${SPACE}]+`, "g");

/** `str.strip()` */
export const strip = (text: string): string => text.replace(LEADING, "").replace(TRAILING, "");

/** `len(re.split(r"\s+", text))`: a run of white space at an edge has an empty string beside it, which counts. */
export const countWords = (text: string): number => (text.match(RUN)?.length ?? 0) + 1;

/** `str.capitalize()`: the rest becomes lower case. */
export function capitalize(text: string): string {
  const [first = ""] = text;
  return first.toUpperCase() + text.slice(first.length).toLowerCase();
}

/** `len(text)`, which counts code points. */
export const length = (text: string): number => [...text].length;

/** Where the white space at the end begins, in UTF-16 units: `len(text.rstrip())`. */
export const endOfText = (text: string): number => text.search(new RegExp(`[${SPACE}]*$`));

/** `len(text.encode("utf-8"))` */
export const byteLength = (text: string): number => new TextEncoder().encode(text).length;
