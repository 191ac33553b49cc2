// What grammars are put together from: literals, sequences, choices, repetitions, sets of characters.

import type { Steps } from "../work.ts";
import type { AutomatonBuilder, Fragment, State } from "./automaton.ts";

/** Code points as ascending ranges `[first, last]` that do not touch. */
export type CharacterSet = readonly (readonly [number, number])[];

export const MAX_CODE_POINT = 0x10ffff;

/** Sorts ranges and joins those that touch; surrogates, which no UTF-8 text has, are left out. */
export function characterSet(ranges: Iterable<readonly [number, number]>): CharacterSet {
  const joined: [number, number][] = [];
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const before = joined.at(-1);
    if (before && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else joined.push([first, last]);
  }
  return joined.flatMap(([first, last]): [number, number][] => [
    ...(first < 0xd800 ? [[first, Math.min(last, 0xd7ff)] as [number, number]] : []),
    ...(last > 0xdfff ? [[Math.max(first, 0xe000), last] as [number, number]] : []),
  ]);
}

export function complement(set: CharacterSet): CharacterSet {
  const rest: [number, number][] = [];
  let from = 0;
  for (const [first, last] of set) {
    if (first > from) rest.push([from, first - 1]);
    from = last + 1;
  }
  if (from <= MAX_CODE_POINT) rest.push([from, MAX_CODE_POINT]);
  return characterSet(rest);
}

export function intersection(a: CharacterSet, b: CharacterSet): CharacterSet {
  return complement(characterSet([...complement(a), ...complement(b)]));
}

/** Repetitions that have states of their own; more are counted in blocks of as many. */
const BLOCK = 256;

export interface Fragments {
  readonly empty: Fragment;
  /** Matches nothing at all. */
  readonly never: Fragment;
  /** The text's UTF-8 bytes. */
  literal(text: string): Fragment;
  /** One of these texts; common beginnings are shared, so that thousands are fine. */
  oneOf(texts: readonly string[]): Fragment;
  sequence(...parts: readonly Fragment[]): Fragment;
  choice(...parts: readonly Fragment[]): Fragment;
  /** From `min` to `max` times; no upper bound without `max`. A large count makes few states. */
  repeat(part: Fragment, min: number, max?: number): Fragment;
  /** One character of a set, in UTF-8. */
  characters(set: CharacterSet): Fragment;
  /** A rule that may call itself; `body` is asked for once, and only if the rule is used. */
  rule(body: () => Fragment): Fragment;
  ruleInSteps(body: () => Steps<Fragment>): Fragment;
  /** What takes many states: `body` makes them when all else is put together. */
  later(body: (next: State) => Steps<State>): Fragment;
  /** Makes the rules that were used; to be run when all else is put together. */
  finish(): Steps<void>;
}

export function createFragments(builder: AutomatonBuilder): Fragments {
  const { byte, any, state, jump, call, done } = builder;
  const encoder = new TextEncoder();

  const chain = (bytes: Uint8Array, next: State): State =>
    bytes.reduceRight((after, value) => byte(value, value, after), next);
  const sequence = (...parts: readonly Fragment[]): Fragment => {
    return (next) => parts.reduceRight((after, part) => part(after), next);
  };
  const choice = (...parts: readonly Fragment[]): Fragment => {
    return (next) => any(parts.map((part) => part(next)));
  };
  const literal = (text: string): Fragment => {
    const bytes = encoder.encode(text);
    return (next) => chain(bytes, next);
  };
  /** What is left of texts from `depth` on, up to which they are the same. */
  const branch = (texts: readonly Uint8Array[], depth: number, next: State): State => {
    const [first = new Uint8Array()] = texts;
    let same = depth;
    while (same < first.length && texts.every((text) => text[same] === first[same])) same++;
    if (same > depth) return chain(first.subarray(depth, same), branch(texts, same, next));
    const byNext = new Map<number | undefined, Uint8Array[]>();
    for (const text of texts) byNext.set(text[depth], [...(byNext.get(text[depth]) ?? []), text]);
    return any([...byNext].map(([value, group]) => (value === undefined ? next : branch(group, depth, next))));
  };
  const unmade: (() => Steps<void>)[] = [];
  const ruleInSteps = (body: () => Steps<Fragment>): Fragment => {
    let start: State | undefined;
    return (next) => {
      if (start === undefined) {
        const made = state();
        start = made;
        // Not at once: a chain of rules would be a chain of calls here.
        unmade.push(function* () {
          jump(made, (yield* body())(done));
        });
      }
      return call(start, next);
    };
  };
  const rule = (body: () => Fragment): Fragment =>
    // biome-ignore lint/correctness/useYield: it is done in one step.
    ruleInSteps(function* () {
      return body();
    });

  const later = (body: (next: State) => Steps<State>): Fragment => {
    return (next) => {
      const made = state();
      unmade.push(function* () {
        jump(made, yield* body(next));
      });
      return made;
    };
  };

  /** A state for each time. */
  const times = (part: Fragment, min: number, max?: number): Fragment => {
    return (next) => {
      let after = next;
      if (max === undefined) {
        after = state();
        jump(after, next);
        jump(after, part(after));
      } else {
        for (let i = min; i < max; i++) after = any([part(after), next]);
      }
      for (let i = 0; i < min; i++) after = part(after);
      return after;
    };
  };
  /**
   * Large counts, digit by digit in base `BLOCK`: a rule for `BLOCK` times the part, one for as often
   * that rule, and so on; states grow with the count's logarithm.
   */
  const blocks = (part: Fragment, min: number, max?: number): Fragment => {
    /** By level: `BLOCK ** level` times the part; and any number of times below that. */
    const levels: { readonly whole: Fragment; readonly below: Fragment }[] = [
      { whole: rule(() => part), below: (n) => n },
    ];
    for (let most = Math.max(min, max ?? 0); most >= BLOCK; most = Math.floor(most / BLOCK)) {
      const { whole, below } = levels.at(-1) as (typeof levels)[number];
      levels.push({
        whole: rule(() => times(whole, BLOCK, BLOCK)),
        below: rule(() => upTo(BLOCK - 1, whole, below, below)),
      });
    }
    /** Up to `count` whole ones; where one is left out, anything below it, else the rest. */
    const upTo = (count: number, whole: Fragment, below: Fragment, rest: Fragment): Fragment => {
      return (next) => {
        let after = rest(next);
        const short = below(next);
        for (let i = 0; i < count; i++) after = any([whole(after), short]);
        return after;
      };
    };
    const digit = (count: number, level: number): number => Math.floor(count / BLOCK ** level) % BLOCK;
    const exactly = levels.map(({ whole }, level) => times(whole, digit(min, level), digit(min, level)));
    if (max === undefined) return sequence(...exactly, times((levels[0] as (typeof levels)[number]).whole, 0));
    const most = levels.reduce<Fragment>(
      (rest, { whole, below }, level) => upTo(digit(max - min, level), whole, below, rest),
      (next) => next,
    );
    return sequence(...exactly, most);
  };

  return {
    empty: (next) => next,
    never: () => state(),
    literal,
    oneOf(texts) {
      const encoded = texts.map((text) => encoder.encode(text));
      return (next) => branch(encoded, 0, next);
    },
    sequence,
    choice,
    repeat(part, min, max) {
      const few = max === undefined ? min <= BLOCK : max <= BLOCK;
      return few ? times(part, min, max) : blocks(part, min, max);
    },
    characters(set) {
      builder.work.spend(10 * set.length);
      const sequences = set.flatMap(([first, last]) => utf8Ranges(first, last));
      return (next) =>
        any(sequences.map((ranges) => ranges.reduceRight((after, [lo, hi]) => byte(lo, hi, after), next)));
    },
    rule,
    ruleInSteps,
    later,
    *finish() {
      for (let make = unmade.pop(); make; make = unmade.pop()) {
        if (builder.work.takeTurn()) yield;
        yield* make();
      }
    },
  };
}

/** First bytes of one, two, three and four, without the bits of the code point. */
const UTF8_LEAD = [0, 0xc0, 0xe0, 0xf0];
/** The last code points that take one, two, three and four bytes. */
const UTF8_LAST = [0x7f, 0x7ff, 0xffff, MAX_CODE_POINT];

/**
 * UTF-8 of a range of code points as sequences of byte ranges (the method of Thompson's grep and RE2: split where the number of bytes
 * changes, then where a continuation byte does not run over its whole range).
 */
function utf8Ranges(first: number, last: number): [number, number][][] {
  const bytes = UTF8_LAST.findIndex((limit) => first <= limit);
  const limit = UTF8_LAST[bytes] as number;
  if (last > limit) return [...utf8Ranges(first, limit), ...utf8Ranges(limit + 1, last)];
  for (let i = 1; i <= bytes; i++) {
    const low = (1 << (6 * i)) - 1;
    if ((first & ~low) === (last & ~low)) continue;
    if ((first & low) !== 0) return [...utf8Ranges(first, first | low), ...utf8Ranges((first | low) + 1, last)];
    if ((last & low) !== low) return [...utf8Ranges(first, (last & ~low) - 1), ...utf8Ranges(last & ~low, last)];
  }
  const from = utf8(first);
  const to = utf8(last);
  return [from.map((lo, i) => [lo, to[i] as number])];
}

function utf8(codePoint: number): number[] {
  const bytes = UTF8_LAST.findIndex((limit) => codePoint <= limit);
  if (bytes === 0) return [codePoint];
  const following = Array.from({ length: bytes }, (_, i) => 0x80 | ((codePoint >> (6 * (bytes - 1 - i))) & 0x3f));
  return [(UTF8_LEAD[bytes] as number) | (codePoint >> (6 * bytes)), ...following];
}
