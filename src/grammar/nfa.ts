// Automata over characters, as patterns become them. They are joined here, before they are spelled out as
// bytes: an "and" and a "not" need one automaton that reads each text in one way only.

import type { Steps, Work } from "../work.ts";
import { GrammarTooLarge } from "./automaton.ts";
import { type CharacterSet, characterSet, MAX_CODE_POINT } from "./fragments.ts";

/** States that the patterns of one string may have. */
const MAX_STATES = 50_000;

export interface Nfa {
  /** Ends the text. It has no edges. */
  readonly end: number;
  /** Per state its sets and where each leads, in turn: `[set, state, set, state, …]`. */
  readonly reads: readonly (readonly (CharacterSet | number)[])[];
  /** Per state the states that it goes on as without a character. */
  readonly jumps: readonly (readonly number[])[];
  /** A new state without edges. @throws GrammarTooLarge, WorkLimitError */
  state(): number;
  read(from: number, set: CharacterSet, to: number): void;
  jump(from: number, to: number): void;
}

export function createNfa(work: Work): Nfa {
  const reads: (CharacterSet | number)[][] = [[]];
  const jumps: number[][] = [[]];
  return {
    end: 0,
    reads,
    jumps,
    state() {
      work.spend(2);
      if (reads.length === MAX_STATES) throw new GrammarTooLarge(`patterns may have ${MAX_STATES} states`);
      jumps.push([]);
      return reads.push([]) - 1;
    },
    read(from, set, to) {
      work.spend(1);
      reads[from]?.push(set, to);
    },
    jump(from, to) {
      work.spend(1);
      jumps[from]?.push(to);
    },
  };
}

/** The states that some states go on as without a character, and they themselves, ascending. */
function closure(nfa: Nfa, from: Iterable<number>, work: Work): number[] {
  const seen = new Set<number>(from);
  for (const state of seen) {
    const list = nfa.jumps[state] as readonly number[];
    work.spend(1 + list.length);
    for (const to of list) seen.add(to);
  }
  return [...seen].sort((a, b) => a - b);
}

/** Whether the text may end at a state. */
export const mayEnd = (nfa: Nfa, state: number, work: Work): boolean => closure(nfa, [state], work).includes(nfa.end);

/** Characters that no set of the automata tells apart, as one class each. */
interface Classes {
  readonly sets: readonly CharacterSet[];
  /** The classes that a set is made of. */
  of(set: CharacterSet): readonly number[];
  /** The set that classes make together: for the same classes the same object. */
  union(classes: readonly number[]): CharacterSet;
  /** The class of a code point. */
  at(codePoint: number): number;
}

function classesOf(nfa: Nfa, starts: readonly number[], work: Work): Classes {
  const sets = new Set<CharacterSet>();
  const seen = new Set<number>(starts);
  for (const state of seen) {
    const [reads, jumps] = [nfa.reads[state], nfa.jumps[state]] as const;
    work.spend(1 + (reads?.length ?? 0) + (jumps?.length ?? 0));
    for (const to of jumps ?? []) seen.add(to);
    for (const item of reads ?? []) {
      if (typeof item === "number") seen.add(item);
      else sets.add(item);
    }
  }
  const list = [...sets];
  const firsts = [...new Set([0, ...list.flat().flatMap(([first, last]) => [first, last + 1])])]
    .filter((first) => first <= MAX_CODE_POINT)
    .sort((a, b) => a - b);
  const pieceAt = (codePoint: number): number => {
    let [low, high] = [0, firsts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((firsts[middle] as number) <= codePoint) low = middle;
      else high = middle - 1;
    }
    return low;
  };
  /** By piece the sets that it is in. */
  const within: string[] = firsts.map(() => "");
  for (const [i, set] of list.entries()) {
    for (const [first, last] of set) {
      const [from, to] = [pieceAt(first), pieceAt(last)];
      work.spend(8 + to - from);
      for (let piece = from; piece <= to; piece++) within[piece] += `${i},`;
    }
  }
  const numbers = new Map([...new Set(within)].map((key, i) => [key, i]));
  const ranges: [number, number][][] = Array.from(numbers, () => []);
  const classOfPiece = within.map((key) => numbers.get(key) as number);
  const ofSet = new Map<CharacterSet, Set<number>>(list.map((set) => [set, new Set()]));
  for (const [piece, key] of within.entries()) {
    const own = classOfPiece[piece] as number;
    ranges[own]?.push([firsts[piece] as number, (firsts[piece + 1] ?? MAX_CODE_POINT + 1) - 1]);
    for (const i of key.split(",").slice(0, -1)) ofSet.get(list[Number(i)] as CharacterSet)?.add(own);
  }
  const known = new Map([...ofSet].map(([set, classes]) => [set, [...classes]]));
  const unions = new Map<string, CharacterSet>();
  return {
    sets: ranges,
    union(some) {
      const key = some.join();
      let made = unions.get(key);
      if (!made) {
        made = characterSet(some.flatMap((one) => ranges[one] as [number, number][]));
        work.spend(made.length);
        unions.set(key, made);
      }
      return made;
    },
    of: (set) => known.get(set) ?? [],
    at: (codePoint) => classOfPiece[pieceAt(codePoint)] as number,
  };
}

/** One of the conditions that a text has to meet, read in one way only. A state below 0 says that it never will be. */
interface Part {
  readonly start: number;
  /** Where each class leads. */
  next(state: number): readonly number[];
  mayEnd(state: number): boolean;
}

const NEVER = -1;

/** All that an automaton may stand at is one state (the subset construction), made when it is first asked for. */
function subsets(nfa: Nfa, start: number, classes: Classes, work: Work): Part {
  const known = new Map<string, number>();
  const lists: (readonly number[])[] = [];
  const rows: (readonly number[] | undefined)[] = [];
  const idOf = (from: Iterable<number>): number => {
    const list = closure(nfa, from, work);
    work.spend(list.length);
    const key = list.join();
    let id = known.get(key);
    if (id === undefined) {
      id = lists.push(list) - 1;
      known.set(key, id);
    }
    return id;
  };
  const row = (state: number): readonly number[] => {
    const targets: Set<number>[] = classes.sets.map(() => new Set());
    work.spend(targets.length);
    for (const from of lists[state] as readonly number[]) {
      const reads = nfa.reads[from] as readonly (CharacterSet | number)[];
      for (let i = 0; i < reads.length; i += 2) {
        const own = classes.of(reads[i] as CharacterSet);
        work.spend(1 + own.length);
        for (const one of own) targets[one]?.add(reads[i + 1] as number);
      }
    }
    return targets.map((set) => (set.size > 0 ? idOf(set) : NEVER));
  };
  return {
    start: idOf([start]),
    next(state) {
      const made = rows[state] ?? row(state);
      rows[state] = made;
      return made;
    },
    mayEnd: (state) => (lists[state] as readonly number[]).includes(nfa.end),
  };
}

/** What the part does not read. */
const complement = (part: Part, classes: Classes): Part => {
  const all = classes.sets.map(() => NEVER);
  // A text that the part will never read is one that its complement always does.
  const [free, shift] = [0, 1];
  return {
    start: part.start + shift,
    next: (state) => (state === free ? all.map(() => free) : part.next(state - shift).map((to) => to + shift)),
    mayEnd: (state) => state === free || !part.mayEnd(state - shift),
  };
};

/** Texts of `min` to `max` characters. */
const counter = (min: number, max: number | undefined, classes: Classes): Part => ({
  start: 0,
  next(state) {
    const to = max === undefined ? Math.min(state + 1, min) : state < max ? state + 1 : NEVER;
    return classes.sets.map(() => to);
  },
  mayEnd: (state) => state >= min,
});

export interface Condition {
  /** The state at which its automaton begins. */
  readonly start: number;
  /** Whether the text must not be one of its. Default: false. */
  readonly not?: boolean;
}

export interface Lengths {
  readonly min: number;
  readonly max: number | undefined;
}

function partsOf(
  nfa: Nfa,
  conditions: readonly Condition[],
  lengths: Lengths | undefined,
  work: Work,
): { classes: Classes; parts: readonly Part[] } {
  const starts = conditions.map(({ start }) => start);
  const classes = classesOf(nfa, starts, work);
  const parts = conditions.map(({ start, not }) => {
    const part = subsets(nfa, start, classes, work);
    return not ? complement(part, classes) : part;
  });
  return { classes, parts: lengths ? [...parts, counter(lengths.min, lengths.max, classes)] : parts };
}

/** Whether a text meets all conditions. @throws WorkLimitError */
export function meets(nfa: Nfa, conditions: readonly Condition[], text: string, work: Work): boolean {
  const { classes, parts } = partsOf(nfa, conditions, undefined, work);
  const places = parts.map(({ start }) => start);
  for (const character of text) {
    const one = classes.at(character.codePointAt(0) as number);
    for (const [i, part] of parts.entries()) {
      work.spend(classes.sets.length);
      const to = part.next(places[i] as number)[one] as number;
      if (to === NEVER) return false;
      places[i] = to;
    }
  }
  return parts.every((part, i) => part.mayEnd(places[i] as number));
}

/**
 * The texts that meet all conditions, as states of the same automaton that read each text in one way only.
 * @returns the state that they begin at
 * @throws GrammarTooLarge, WorkLimitError
 */
export function* conjunction(
  nfa: Nfa,
  conditions: readonly Condition[],
  lengths: Lengths | undefined,
  work: Work,
): Steps<number> {
  const { classes, parts } = partsOf(nfa, conditions, lengths, work);
  const known = new Map<string, number>();
  const due: (readonly [number, readonly number[]])[] = [];
  const stateOf = (places: readonly number[]): number => {
    const key = places.join();
    let state = known.get(key);
    if (state === undefined) {
      state = nfa.state();
      known.set(key, state);
      due.push([state, places]);
    }
    return state;
  };
  const start = stateOf(parts.map((part) => part.start));
  for (let entry = due.pop(); entry; entry = due.pop()) {
    if (work.takeTurn()) yield;
    const [from, places] = entry;
    const rows = parts.map((part, i) => part.next(places[i] as number));
    work.spend((1 + parts.length) * classes.sets.length);
    const byState = new Map<number, number[]>();
    for (const one of classes.sets.keys()) {
      const to = rows.map((row) => row[one] as number);
      if (to.includes(NEVER)) continue;
      const state = stateOf(to);
      const list = byState.get(state);
      if (list) list.push(one);
      else byState.set(state, [one]);
    }
    for (const [state, list] of byState) nfa.read(from, classes.union(list), state);
    if (parts.every((part, i) => part.mayEnd(places[i] as number))) nfa.jump(from, nfa.end);
  }
  return start;
}

/** Characters of the shortest and the longest text that an automaton reads from a state on; no text: more than any. */
export function lengthsOf(nfa: Nfa, start: number, work: Work): { shortest: number; longest: number } {
  const order = [start];
  const seen = new Set(order);
  const before = new Map<number, number[]>();
  for (const from of order) {
    for (const [to] of edgesOf(nfa, from, work)) {
      const list = before.get(to);
      if (list) list.push(from);
      else before.set(to, [from]);
      if (!seen.has(to)) order.push(to);
      seen.add(to);
    }
  }
  const useful = new Set([nfa.end]);
  for (const to of useful) for (const from of before.get(to) ?? []) useful.add(from);
  if (!useful.has(start)) return { shortest: Number.POSITIVE_INFINITY, longest: Number.NEGATIVE_INFINITY };
  return { shortest: shortestFrom(nfa, start, work), longest: longestFrom(nfa, start, useful, work) };
}

/** Where a state leads, and how many characters that takes: none or one. */
function edgesOf(nfa: Nfa, from: number, work: Work): (readonly [to: number, length: 0 | 1])[] {
  const reads = (nfa.reads[from] as readonly unknown[]).filter((item): item is number => typeof item === "number");
  const jumps = nfa.jumps[from] as readonly number[];
  work.spend(1 + reads.length + jumps.length);
  return [...reads.map((to) => [to, 1] as const), ...jumps.map((to) => [to, 0] as const)];
}

function shortestFrom(nfa: Nfa, start: number, work: Work): number {
  let now = new Set([start]);
  const done = new Set<number>();
  for (let length = 0; ; length++) {
    const next = new Set<number>();
    for (const from of now) {
      if (from === nfa.end) return length;
      if (done.has(from)) continue;
      done.add(from);
      for (const [to, one] of edgesOf(nfa, from, work)) (one ? next : now).add(to);
    }
    now = next;
  }
}

/** In the order in which the states can be read; where there is none, a state leads to itself. */
function longestFrom(nfa: Nfa, start: number, useful: ReadonlySet<number>, work: Work): number {
  const open = new Map<number, number>();
  const reached = new Set([start]);
  for (const from of reached) {
    for (const [to] of edgesOf(nfa, from, work)) {
      if (!useful.has(to)) continue;
      open.set(to, (open.get(to) ?? 0) + 1);
      reached.add(to);
    }
  }
  if (open.has(start)) return Number.POSITIVE_INFINITY;
  const longest = new Map([[start, 0]]);
  const due = [start];
  let done = 0;
  for (let from = due.pop(); from !== undefined; from = due.pop()) {
    done++;
    for (const [to, one] of edgesOf(nfa, from, work)) {
      if (!useful.has(to)) continue;
      longest.set(to, Math.max(longest.get(to) ?? 0, (longest.get(from) ?? 0) + one));
      const left = (open.get(to) as number) - 1;
      open.set(to, left);
      if (left === 0) due.push(to);
    }
  }
  return done === reached.size ? (longest.get(nfa.end) as number) : Number.POSITIVE_INFINITY;
}
