// JSON's own grammar (RFC 8259), as strictly as a validator could ask: well-formed UTF-8, no lone surrogates, numbers that a double holds.
// Outside strings only one space after a colon or comma is free: whitespace without bound would let a model never come to an end.
import type { Fragment } from "./automaton.ts";
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
const LAST_ASCII = 0x7f;
export const DIGIT: CharacterSet = [[0x30, 0x39]];
/** Digits of an integer, and significant digits of a decimal, that a double gives back as they were. */
export const EXACT_DIGITS = 15;

export interface JsonFragments {
  readonly value: Fragment;
  readonly object: Fragment;
  readonly array: Fragment;
  /** Any string. */
  readonly string: Fragment;
  /** One character inside a string, in any of its spellings. */
  readonly character: Fragment;
  readonly number: Fragment;
  readonly integer: Fragment;
  readonly boolean: Fragment;
  readonly null: Fragment;
  readonly colon: Fragment;
  readonly comma: Fragment;
  /** One character of a set inside a string: as it is where JSON allows that, else escaped. */
  characters(set: CharacterSet): Fragment;
  /** A value, as `JSON.stringify` writes it. */
  constants(values: readonly unknown[]): Fragment;
  /** `[item, item, …]` with `min` to `max` items. */
  list(item: Fragment, min: number, max?: number): Fragment;
  /** An object with members of any name. */
  map(value: Fragment): Fragment;
}

export function createJson(make: Fragments): JsonFragments {
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
  const map = (value: Fragment): Fragment => {
    const member = rule(() => sequence(string, colon, value));
    return sequence(literal("{"), optional(sequence(member, repeat(sequence(comma, member), 0))), literal("}"));
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
    character,
    number,
    integer: choice(whole, sequence(literal("-"), whole)),
    boolean,
    null: nothing,
    colon,
    comma,
    characters(wanted) {
      const plain = intersection(wanted, PLAIN);
      const escaped: string[] = [];
      for (const [first, last] of wanted) {
        for (let code = first; code <= Math.min(last, 0x5c); code++) {
          if (code < 0x20) escaped.push(SHORT_ESCAPES[code] ?? `\\u${code.toString(16).padStart(4, "0")}`);
          else if (code === 0x22 || code === 0x5c) escaped.push(`\\${String.fromCharCode(code)}`);
        }
      }
      const parts = [
        ...(plain.length > 0 ? [make.characters(plain)] : []),
        ...(escaped.length > 0 ? [make.oneOf(escaped)] : []),
      ];
      const one = parts.length > 0 ? choice(...parts) : make.never;
      // What takes many states stands once in the grammar, however often a pattern repeats it.
      return (plain.at(-1)?.[1] ?? 0) > LAST_ASCII ? rule(() => one) : one;
    },
    constants: (values) => make.oneOf(values.map((constant) => JSON.stringify(constant))),
    list,
    map,
  };
}

const ord = (character: string): number => character.codePointAt(0) as number;
