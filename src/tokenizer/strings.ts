// Python's functions on strings, as chat templates call them. What they compare is the text itself: hidden characters count as what they
// stand for, and stay hidden in what comes back.

/** What a template hands to a function: positional arguments, then a map of those with names where there are some. */
export type TemplateFunction = (...args: unknown[]) => unknown;

/** Python's white space. */
const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const WORDS = new RegExp(`[^${SPACE}]+`, "g");
const ONE_SPACE = new RegExp(`^[${SPACE}]$`);
const LINE_END = "[\\n\\r\\v\\f\\x1c-\\x1e\\x85\\u2028\\u2029]";
const LINE_ENDS = new RegExp(`\\r\\n|${LINE_END}`);

type Show = (text: string) => string;
interface Call {
  readonly text: string;
  /** A string argument, by place or by name. @throws Error when it is another type's */
  string(place: number, name?: string): string;
  optional(place: number, name?: string): string | undefined;
  /** Default: -1 */
  count(place: number, name: string): number;
  readonly arg: (place: number, name?: string) => unknown;
}

function readCall(method: string, [text, ...given]: readonly unknown[]): Call {
  if (typeof text !== "string")
    throw new Error(`${method}() is called on ${text === undefined ? "undefined" : "no string"}`);
  const last = given.at(-1);
  const named = last instanceof Map ? (last as ReadonlyMap<string, { readonly value: unknown }>) : undefined;
  const places = named ? given.slice(0, -1) : given;
  const arg = (place: number, name = ""): unknown => places[place] ?? named?.get(name)?.value ?? undefined;
  const optional = (place: number, name?: string): string | undefined => {
    const value = arg(place, name);
    if (value === undefined || typeof value === "string") return value;
    throw new Error(`${method}() takes strings`);
  };
  return {
    text,
    arg,
    optional,
    string(place, name) {
      const value = optional(place, name);
      if (value === undefined) throw new Error(`${method}() needs an argument`);
      return value;
    },
    count: (place, name) => Number(arg(place, name) ?? -1),
  };
}

/** Places at which a text begins in another, without overlaps; `most` of -1 is all. */
function placesOf(part: string, text: string, most: number, fromEnd = false): number[] {
  if (part === "") throw new Error("empty separator");
  const places: number[] = [];
  let at = fromEnd ? text.lastIndexOf(part) : text.indexOf(part);
  while (at >= 0 && places.length !== most) {
    places.push(at);
    if (fromEnd && at < part.length) break;
    at = fromEnd ? text.lastIndexOf(part, at - part.length) : text.indexOf(part, at + part.length);
  }
  return fromEnd ? places.reverse() : places;
}

const STRIPS = { strip: [true, true], lstrip: [true, false], rstrip: [false, true] } as const;

const firstOf = (text: string, at: number): string => String.fromCodePoint(text.codePointAt(at) as number);
const lastOf = (text: string, end: number): string => {
  const pair = text.codePointAt(end - 2) ?? 0;
  return pair > 0xffff ? String.fromCodePoint(pair) : text.charAt(end - 1);
};

/** By Python's names; the string comes first. @param show gives the text that a string with hidden characters stands for */
export function stringFunctions(show: Show): Readonly<Record<string, TemplateFunction>> {
  const cutAt = (text: string, places: readonly number[], width: number): string[] => {
    const ends = [...places, text.length];
    return ends.map((end, i) => text.slice(i === 0 ? 0 : (places[i - 1] as number) + width, end));
  };
  const split =
    (method: string, fromEnd: boolean): TemplateFunction =>
    (...args) => {
      const { text, optional, count } = readCall(method, args);
      const separator = optional(0, "sep");
      const most = count(1, "maxsplit");
      if (separator !== undefined) {
        const part = show(separator);
        return cutAt(text, placesOf(part, show(text), most, fromEnd), part.length);
      }
      const words = [...show(text).matchAll(WORDS)].map(({ 0: word, index }) => [index, index + word.length] as const);
      if (most < 0 || words.length <= most) return words.map(([start, end]) => text.slice(start, end));
      // What is left whole keeps the space within it and on its far side.
      const whole = fromEnd ? words.slice(0, words.length - most) : words.slice(most);
      const rest = fromEnd ? text.slice(0, whole.at(-1)?.[1]) : text.slice(whole[0]?.[0]);
      const alone = (fromEnd ? words.slice(words.length - most) : words.slice(0, most)).map(([s, e]) =>
        text.slice(s, e),
      );
      return fromEnd ? [rest, ...alone] : [...alone, rest];
    };
  const strip =
    (method: keyof typeof STRIPS): TemplateFunction =>
    (...args) => {
      const { text, optional } = readCall(method, args);
      const given = optional(0, "chars");
      const set = given === undefined ? undefined : new Set(show(given));
      const strips = (character: string): boolean => (set ? set.has(character) : ONE_SPACE.test(character));
      const shown = show(text);
      const [atStart, atEnd] = STRIPS[method];
      let [start, end] = [0, text.length];
      while (atStart && start < end && strips(firstOf(shown, start))) start += firstOf(shown, start).length;
      while (atEnd && end > start && strips(lastOf(shown, end))) end -= lastOf(shown, end).length;
      return text.slice(start, end);
    };
  /** Of a string, or a tuple of them. */
  const test =
    (method: "startsWith" | "endsWith"): TemplateFunction =>
    (...args) => {
      const { text, arg } = readCall(method.toLowerCase(), args);
      const given = arg(0);
      const parts = Array.isArray(given) ? given.map(({ value }: { value: unknown }) => value) : [given];
      return parts.some((part) => {
        if (typeof part !== "string") throw new Error(`${method.toLowerCase()}() takes a string or a tuple of strings`);
        return show(text)[method](show(part));
      });
    };
  const without =
    (method: string, atStart: boolean): TemplateFunction =>
    (...args) => {
      const { text, string } = readCall(method, args);
      const part = show(string(0));
      if (part === "" || !(atStart ? show(text).startsWith(part) : show(text).endsWith(part))) return text;
      return atStart ? text.slice(part.length) : text.slice(0, -part.length);
    };
  const partition =
    (method: string, fromEnd: boolean): TemplateFunction =>
    (...args) => {
      const { text, string } = readCall(method, args);
      const part = show(string(0));
      const [at] = placesOf(part, show(text), 1, fromEnd);
      if (at === undefined) return fromEnd ? ["", "", text] : [text, "", ""];
      return [text.slice(0, at), text.slice(at, at + part.length), text.slice(at + part.length)];
    };
  const find =
    (method: "indexOf" | "lastIndexOf", name: string): TemplateFunction =>
    (...args) => {
      const { text, string } = readCall(name, args);
      const at = show(text)[method](show(string(0)));
      return at < 0 ? -1 : [...text.slice(0, at)].length;
    };
  return {
    split: split("split", false),
    rsplit: split("rsplit", true),
    strip: strip("strip"),
    lstrip: strip("lstrip"),
    rstrip: strip("rstrip"),
    startswith: test("startsWith"),
    endswith: test("endsWith"),
    removeprefix: without("removeprefix", true),
    removesuffix: without("removesuffix", false),
    partition: partition("partition", false),
    rpartition: partition("rpartition", true),
    find: find("indexOf", "find"),
    rfind: find("lastIndexOf", "rfind"),
    count(...args) {
      const { text, string } = readCall("count", args);
      return placesOf(show(string(0)), show(text), -1).length;
    },
    /** The filter, which takes what is no string for how it is written. */
    trim: (text, ...args) => strip("strip")(text === undefined ? "" : text === null ? "None" : String(text), ...args),
    replace(...args) {
      const { text, string, count } = readCall("replace", args);
      const part = show(string(0, "old"));
      return cutAt(text, placesOf(part, show(text), count(2, "count")), part.length).join(string(1, "new"));
    },
    splitlines(...args) {
      const { text } = readCall("splitlines", args);
      const lines = text.split(LINE_ENDS);
      return lines.at(-1) === "" ? lines.slice(0, -1) : lines;
    },
    join(...args) {
      const { text, arg } = readCall("join", args);
      const parts = arg(0) as readonly { readonly value: unknown }[];
      return parts.map(({ value }) => value).join(text);
    },
  };
}

/** Python's `==`. Values within lists are the library's, which have a `value`. */
function createEquals(show: Show): (a: unknown, b: unknown) => boolean {
  const equals = (a: unknown, b: unknown): boolean => {
    if (typeof a === "string" && typeof b === "string") return show(a) === show(b);
    if (Array.isArray(a) && Array.isArray(b)) {
      return a.length === b.length && a.every(({ value }, i) => equals(value, b[i].value));
    }
    // A boolean is a number, too.
    const isNumber = (value: unknown): boolean => typeof value === "number" || typeof value === "boolean";
    return isNumber(a) && isNumber(b) ? Number(a) === Number(b) : a === b;
  };
  return equals;
}

/** What templates compare with, by the operators' names. */
export function comparisons(show: Show): Readonly<Record<string, TemplateFunction>> {
  const isEqual = createEquals(show);
  const isIn = (part: unknown, whole: unknown): boolean => {
    if (whole === undefined) return false;
    if (typeof whole === "string" && typeof part === "string") return show(whole).includes(show(part));
    if (Array.isArray(whole)) return whole.some(({ value }: { value: unknown }) => isEqual(part, value));
    if (whole instanceof Map) return typeof part === "string" && (whole.has(part) || whole.has(show(part)));
    throw new Error("'in' needs a string in a string, or anything in a list or a mapping");
  };
  return {
    "==": isEqual,
    "!=": (a, b) => !isEqual(a, b),
    in: isIn,
    "not in": (part, whole) => !isIn(part, whole),
  };
}
