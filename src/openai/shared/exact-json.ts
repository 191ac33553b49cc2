// Parses JSON so that nothing of a schema is lost on the way: `JSON.parse` rounds integers beyond 2^53, and an
// object lists names like "10" and "2" first, by their numbers.
import { createWork, inTurns, type Steps, type Work } from "../../work.ts";
import { withExactSeed } from "./seed.ts";

/** Whether a text may have what `JSON.parse` loses: a long integer, or a name that is an index. */
const LOSSY = /[[:,]\s*-?\d{16}|"(?:\d|\\u003\d)+"\s*:/;
/** Longer integers are rounded, as `JSON.parse` does. */
const MAX_DIGITS = 400;

const { rawJSON } = JSON as { rawJSON?: (text: string) => unknown };

/** Of one value, with its name. */
const STEPS_PER_VALUE = 10;

/**
 * A request's body, as `JSON.parse` reads it, but integers that a double does not hold keep their digits
 * (`JSON.rawJSON`, which `JSON.stringify` writes as they are), objects list their members in the text's order, and a
 * seed that a double does not hold is a bigint.
 * @throws SyntaxError
 */
export async function parseBody(text: string): Promise<unknown> {
  const parsed: unknown = JSON.parse(text);
  if (!LOSSY.test(text)) return withExactSeed(parsed);
  return withExactSeed(await inTurns(readExactly(text, createWork(Number.POSITIVE_INFINITY))));
}

/** As `JSON.stringify`, for what `parseBody` has read: a bigint is written as its digits. */
export const writeExactly = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) => (typeof inner === "bigint" ? rawJSON?.(String(inner)) : inner));

/** Reads JSON that `JSON.parse` has found to be well-formed. */
function readExactly(text: string, work: Work): Steps<unknown> {
  let at = 0;
  const skip = (): string => {
    while (text.charCodeAt(at) <= SPACE) at++;
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
  function* value(): Steps<unknown> {
    const first = skip();
    if (first === "[" || first === "{") return yield* within(first === "[" ? "]" : "}");
    return first === '"' ? string() : scalar();
  }
  /** What is between brackets, with commas in between. */
  function* within(close: "]" | "}"): Steps<unknown> {
    const items: unknown[] = [];
    const names: string[] = [];
    at++;
    for (let next = skip(); next !== close; next = skip()) {
      if (next === ",") at++;
      if (close === "}") {
        skip();
        names.push(string());
        skip();
        at++;
      }
      items.push(yield* value());
      work.spend(STEPS_PER_VALUE);
      if (work.takeTurn()) yield;
    }
    at++;
    return close === "]" ? items : objectOf(names.map((name, i) => [name, items[i]]));
  }
  return value();
}

/** No other character up to this one stands outside of strings. */
const SPACE = 0x20;
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
