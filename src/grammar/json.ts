// JSON's own grammar (RFC 8259), as strictly as a validator could ask: well-formed UTF-8, no lone surrogates, numbers that a double holds.
// Outside strings only one space after a colon or comma is free: whitespace without bound would let a model never come to an end.
import type { AutomatonBuilder, Fragment, State } from "./automaton.ts";
import { type CharacterSet, characterSet, type Fragments, intersection, MAX_CODE_POINT } from "./fragments.ts";

/** Characters that a JSON string has as they are. */
const PLAIN = characterSet([
  [0x20, 0x21],
  [0x23, 0x5b],
  [0x5d, MAX_CODE_POINT],
]);
const SHORT_ESCAPES: Record<number, string> = { 8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r" };
const HEX: CharacterSet = [
  [0x30, 0x39],
  [0x41, 0x46],
  [0x61, 0x66],
];
const ASCII: CharacterSet = [[0, 0x7f]];
const BEYOND_ASCII = characterSet([[0x80, MAX_CODE_POINT]]);
export const DIGIT: CharacterSet = [[0x30, 0x39]];
/** Digits of an integer, and significant digits of a decimal, that a double gives back as they were. */
export const EXACT_DIGITS = 15;

export interface JsonFragments {
  readonly value: Fragment;
  readonly object: Fragment;
  readonly array: Fragment;
  /** Any string. */
  readonly string: Fragment;
  readonly number: Fragment;
  readonly integer: Fragment;
  readonly boolean: Fragment;
  readonly null: Fragment;
  readonly colon: Fragment;
  readonly comma: Fragment;
  /** A string of `min` to `max` characters. */
  characters(min: number, max: number | undefined): Fragment;
  /** Lets a state read a character of a set inside a string: as it is where JSON allows that, else escaped. */
  read(from: State, set: CharacterSet, to: State): void;
  /** A value, as `JSON.stringify` writes it. */
  constants(values: readonly unknown[]): Fragment;
  /** `[item, item, …]` with `min` to `max` items. */
  list(item: Fragment, min: number, max?: number): Fragment;
  /** An object with members of any name, or of names that are strings in JSON. */
  map(value: Fragment, name?: Fragment): Fragment;
}

export function createJson(make: Fragments, builder: AutomatonBuilder): JsonFragments {
  const { literal, sequence, choice, repeat, rule } = make;
  const set = (text: string): Fragment => make.characters(characterSet([...text].map((c) => [ord(c), ord(c)])));
  const optional = (part: Fragment): Fragment => repeat(part, 0, 1);
  const digits = (min: number, max: number): Fragment => repeat(make.characters(DIGIT), min, max);
  const hex = (count: number): Fragment => repeat(make.characters(HEX), count, count);

  const colon = sequence(literal(":"), optional(literal(" ")));
  const comma = sequence(literal(","), optional(literal(" ")));
  // \u with a code point of its own, or a surrogate pair.
  const unicode = choice(
    sequence(set("0123456789abcefABCEF"), hex(3)),
    sequence(set("dD"), set("01234567"), hex(2)),
    sequence(set("dD"), set("89abAB"), hex(2), literal("\\u"), set("dD"), set("cdefCDEF"), hex(2)),
  );
  const anyCharacter = choice(
    make.characters(PLAIN),
    sequence(literal("\\"), choice(set('"\\/bfnrt'), sequence(literal("u"), unicode))),
  );
  const character = rule(() => anyCharacter);
  const string = rule(() => sequence(literal('"'), repeat(anyCharacter, 0), literal('"')));
  const whole = choice(literal("0"), sequence(make.characters([[0x31, 0x39]]), digits(0, EXACT_DIGITS - 1)));
  const number = sequence(
    optional(literal("-")),
    whole,
    optional(sequence(literal("."), digits(1, EXACT_DIGITS))),
    optional(sequence(set("eE"), optional(set("+-")), digits(1, 2))),
  );

  const list = (item: Fragment, min: number, max?: number): Fragment => {
    if (max === 0) return literal("[]");
    // As a rule it stands once in the grammar, however often it may come.
    const one = rule(() => item);
    const more = repeat(sequence(comma, one), Math.max(0, min - 1), max === undefined ? undefined : max - 1);
    const items = sequence(one, more);
    return sequence(literal("["), min === 0 ? optional(items) : items, literal("]"));
  };
  const map = (value: Fragment, name = string): Fragment => {
    const member = rule(() => sequence(name, colon, value));
    return sequence(literal("{"), optional(sequence(member, repeat(sequence(comma, member), 0))), literal("}"));
  };
  const spellings = new Map<CharacterSet, Spelling>();
  /** By their ranges: what takes many states stands once in the grammar, however often patterns have it. */
  const rules = new Map<string, Fragment>();
  const spellingOf = (wanted: CharacterSet): Spelling => {
    const known = spellings.get(wanted);
    if (known) return known;
    builder.work.spend(4 * wanted.length);
    const plain = intersection(wanted, PLAIN);
    const beyond = intersection(plain, BEYOND_ASCII);
    const escaped = escapesOf(wanted);
    const key = `${beyond.join()};${escaped.join()}`;
    const parts = [
      ...(beyond.length > 0 ? [make.characters(beyond)] : []),
      ...(escaped.length > 0 ? [make.oneOf(escaped)] : []),
    ];
    const others = rules.get(key) ?? (parts.length > 0 ? rule(() => choice(...parts)) : undefined);
    if (others) rules.set(key, others);
    const made = { ascii: intersection(plain, ASCII), others };
    spellings.set(wanted, made);
    return made;
  };
  const value: Fragment = rule(() => choice(object, array, string, number, boolean, nothing));
  const object: Fragment = rule(() => map(value));
  const array: Fragment = rule(() => list(value, 0));
  const boolean = choice(literal("true"), literal("false"));
  const nothing = literal("null");

  return {
    value,
    object,
    array,
    string,
    number,
    integer: choice(whole, sequence(literal("-"), whole)),
    boolean,
    null: nothing,
    colon,
    comma,
    characters: (min, max) => sequence(literal('"'), repeat(character, min, max), literal('"')),
    read(from, set, to) {
      const { ascii, others } = spellingOf(set);
      for (const [first, last] of ascii) builder.read(from, first, last, to);
      if (others) builder.jump(from, others(to));
    },
    constants: (values) => make.oneOf(values.map((constant) => JSON.stringify(constant))),
    list,
    map,
  };
}

/** How a set of characters is written: bytes of ASCII, and what takes several bytes. */
interface Spelling {
  readonly ascii: CharacterSet;
  readonly others: Fragment | undefined;
}

/** The escapes of those characters that JSON does not take as they are. */
function escapesOf(set: CharacterSet): string[] {
  const escaped: string[] = [];
  for (const [first, last] of set) {
    for (let code = first; code <= Math.min(last, 0x5c); code++) {
      if (code < 0x20) escaped.push(SHORT_ESCAPES[code] ?? `\\u${code.toString(16).padStart(4, "0")}`);
      else if (code === 0x22 || code === 0x5c) escaped.push(`\\${String.fromCharCode(code)}`);
    }
  }
  return escaped;
}

const ord = (character: string): number => character.codePointAt(0) as number;
