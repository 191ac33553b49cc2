// Parses JSON so that nothing of a schema is lost on the way: `JSON.parse` rounds integers beyond 2^53, and an
// object lists names like "10" and "2" first, by their numbers.

import { withExactSeed } from "./seed.ts";

/** Whether a text may have what `JSON.parse` loses: a long integer, or a name that is an index. */
const LOSSY = /[[:,]\s*-?\d{16}|"(?:\d|\\u003\d)+"\s*:/;
/** Longer integers are rounded, as `JSON.parse` does. */
const MAX_DIGITS = 400;

const { rawJSON } = JSON as { rawJSON?: (text: string) => unknown };

/**
 * As `JSON.parse`, but integers that a double does not hold keep their digits (`JSON.rawJSON`, which `JSON.stringify`
 * writes as they are), and objects list their members in the text's order.
 * @throws SyntaxError
 */
export function parseExactly(text: string): unknown {
  const parsed: unknown = JSON.parse(text);
  return LOSSY.test(text) ? createReader(text).value() : parsed;
}

/** A request's body, with a bigint for a seed that a double does not hold. @throws SyntaxError */
export const parseBody = (text: string): unknown => withExactSeed(parseExactly(text));

/** As `JSON.stringify`, for what `parseExactly` has read: a bigint is written as its digits. */
export const writeExactly = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) => (typeof inner === "bigint" ? rawJSON?.(String(inner)) : inner));

/** Reads JSON that `JSON.parse` has found to be well-formed. */
function createReader(text: string) {
  let at = 0;
  const skip = (): string => {
    while (SPACE.has(text[at] ?? "")) at++;
    return text[at] ?? "";
  };
  const string = (): string => {
    const start = at;
    let end = text.indexOf('"', start + 1);
    while (isEscaped(text, end)) end = text.indexOf('"', end + 1);
    at = end + 1;
    const inner = text.slice(start + 1, end);
    return inner.includes("\\") ? JSON.parse(text.slice(start, at)) : inner;
  };
  const scalar = (): unknown => {
    const start = at;
    while (at < text.length && !ENDS.has(text[at] as string)) at++;
    return scalarOf(text.slice(start, at));
  };
  /** What is between brackets, with commas in between. */
  const list = (close: string, entry: () => void): void => {
    at++;
    for (let next = skip(); next !== close; next = skip()) {
      if (next === ",") at++;
      entry();
    }
    at++;
  };
  const value = (): unknown => {
    const first = skip();
    if (first === '"') return string();
    if (first === "[") {
      const items: unknown[] = [];
      list("]", () => items.push(value()));
      return items;
    }
    if (first !== "{") return scalar();
    const members: [string, unknown][] = [];
    list("}", () => {
      skip();
      const name = string();
      skip();
      at++;
      members.push([name, value()]);
    });
    return objectOf(members);
  };
  return { value };
}

const SPACE = new Set(" \t\n\r");
const ENDS = new Set(" \t\n\r,]}");

/** Whether an odd number of backslashes stands before a place. */
function isEscaped(text: string, at: number): boolean {
  let before = at;
  while (text[before - 1] === "\\") before--;
  return (at - before) % 2 === 1;
}

function scalarOf(source: string): unknown {
  const value: unknown = JSON.parse(source);
  const isLong = /^-?\d{16,}$/.test(source) && !Number.isSafeInteger(value) && source.length <= MAX_DIGITS;
  return isLong && rawJSON ? rawJSON(source) : value;
}

/** An object that lists its members in their order, whatever their names. */
function objectOf(members: readonly (readonly [string, unknown])[]): object {
  const object = Object.fromEntries(members);
  const names = [...new Set(members.map(([name]) => name))];
  if (!names.some((name) => /^\d+$/.test(name))) return object;
  return new Proxy(object, { ownKeys: () => names });
}
