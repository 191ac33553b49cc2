// Follows a grammar byte by byte. All the ways in which a text can be read so far are one state; states are made when they are first
// reached and kept with their transitions, so that most bytes cost one look-up. Ways that differ only in how they got there share a stack
// (a graph-structured stack: Tomita, "An efficient augmented-context-free parsing algorithm", Computational Linguistics 13, 1987).
import { CALL, DONE, type Grammar, JUMP } from "../../grammar/index.ts";

/** The rules that are open, as the set of places to return to; the same set is the same object until states are forgotten. */
interface Stack {
  readonly id: number;
  readonly frames: readonly Frame[];
}

/** A place to return to when a rule ends, and what is open there. Without `below` it is the end of the text. */
interface Frame {
  readonly id: number;
  readonly state: number;
  readonly below: Stack | undefined;
}

/** All the ways to read a text so far: automaton states that read a byte, ascending, with what is open in each. */
interface Ways {
  /** Whether the text may end here. */
  readonly complete: boolean;
  readonly list: readonly (readonly [state: number, stack: Stack])[];
}

/** The replica cannot follow the grammar; the message says why. */
export class GrammarError extends Error {
  override readonly name = "GrammarError";
}
export const TOO_AMBIGUOUS = "the grammar can be read in too many ways at once: make its patterns less ambiguous";
/** Ways to read one text. Choices between hundreds of schemas have hundreds. */
const MAX_WAYS = 1000;

/** Where a text stands in the grammar: an index above 0, good until `forget`. */
export type Position = number;
/** No text of the grammar goes on like that. */
export const NOWHERE = -1;

/** Work between two calls of `allow`: some 30 ms at worst. */
const MAX_WORK = 300_000;

export interface Recognizer {
  readonly start: Position;
  /** `[256]`: bytes of one class are all the same to the grammar. */
  readonly classOf: Uint8Array;
  readonly classes: number;
  /** `[positions, classes]`: what `step` gives, or 0 where it was not asked yet. Replaced when `step` makes room. */
  readonly table: Int32Array;
  /** Where the text stands after one more byte. @throws GrammarError when it can be read in too many ways */
  step(from: Position, byte: number): Position;
  /** Whether the text may end here. */
  isComplete(position: Position): boolean;
  /** Whether it can only end here. */
  isOver(position: Position): boolean;
  /** Ways to read a text that are kept, of all positions together: what memory grows with. */
  readonly kept: number;
  /** Forgets all positions but one, and gives its new index. */
  forget(but: Position): Position;
  /** Edges looked at and places to return to joined so far: what time grows with. */
  readonly work: number;
  /** Work that may be done from now on until this is called again; at first as much. */
  allow(): void;
}

export function createRecognizer({ start, offsets, edges }: Grammar): Recognizer {
  const { classOf, classes } = byteClasses(edges);
  const end: Frame = { id: 0, state: -1, below: undefined };
  const bottom: Stack = { id: 0, frames: [end] };
  const known = new Map<string, Position>();
  const ways: Ways[] = [];
  let table = new Int32Array(0);
  const stacks = new Map<string, Stack>();
  const frames = new Map<number, Frame>();
  let ids = 1;
  let work = 0;
  let limit = MAX_WORK;
  let kept = 0;

  /** @throws GrammarError when the text can be read in too many ways */
  const spend = (steps: number): void => {
    work += steps;
    if (work > limit) throw new GrammarError(TOO_AMBIGUOUS);
  };
  const stackOf = (list: readonly Frame[]): Stack => {
    if (list.length === 1 && list[0] === end) return bottom;
    spend(list.length);
    const key = list.map(({ id }) => id).join();
    let stack = stacks.get(key);
    if (!stack) {
      stack = { id: ids++, frames: list };
      stacks.set(key, stack);
      kept += list.length;
    }
    return stack;
  };
  const frameOf = (state: number, below: Stack): Frame => {
    const key = state * 2 ** 32 + below.id;
    let frame = frames.get(key);
    if (!frame) {
      frame = { id: ids++, state, below };
      frames.set(key, frame);
    }
    return frame;
  };
  const joined = (all: Iterable<Frame>): Stack => stackOf([...new Set(all)].sort((x, y) => x.id - y.id));

  /** The state of these ways and of all that follow from them without a byte. */
  const close = (seeds: Iterable<readonly [number, Stack]>): Position => {
    const reached = new Map<number, Stack>();
    const due: number[] = [];
    /** Rules that begin here, and where they return to: they wait, because many ways may lead to one. */
    const called = new Map<number, Set<Frame>>();
    let complete = false;
    const add = (state: number, stack: Stack): void => {
      const before = reached.get(state);
      if (before === stack) return;
      spend(before ? before.frames.length + stack.frames.length : 1);
      const merged = before ? joined([...before.frames, ...stack.frames]) : stack;
      if (merged === before) return;
      reached.set(state, merged);
      due.push(state);
    };
    const follow = (state: number, stack: Stack): void => {
      for (let edge = offsets[state] as number; edge < (offsets[state + 1] as number); edge++) {
        spend(1);
        const label = edges[3 * edge] as number;
        const target = edges[3 * edge + 1] as number;
        if (label === JUMP) add(target, stack);
        else if (label === CALL) {
          const frame = frameOf(edges[3 * edge + 2] as number, stack);
          const waiting = called.get(target);
          if (waiting) waiting.add(frame);
          else called.set(target, new Set([frame]));
        } else if (label === DONE) {
          spend(stack.frames.length);
          for (const { state: back, below } of stack.frames) {
            if (below) add(back, below);
            else complete = true;
          }
        }
      }
    };
    for (const [state, stack] of seeds) add(state, stack);
    for (;;) {
      for (let state = due.pop(); state !== undefined; state = due.pop()) follow(state, reached.get(state) as Stack);
      const [next] = called;
      if (!next) break;
      called.delete(next[0]);
      spend(next[1].size);
      add(next[0], joined(next[1]));
    }
    return positionOf({
      complete,
      list: [...reached].filter(([state]) => readsByte(state)).sort(([a], [b]) => a - b),
    });
  };
  const positionOf = (at: Ways): Position => {
    const { complete, list } = at;
    spend(1 + list.length);
    if (list.length === 0 && !complete) return NOWHERE;
    if (list.length > MAX_WAYS) throw new GrammarError(TOO_AMBIGUOUS);
    const key = `${complete}${list.map(([state, { id }]) => `,${state}:${id}`).join("")}`;
    let position = known.get(key);
    if (position === undefined) {
      position = ways.push(at) - 1;
      kept += 1 + list.length;
      known.set(key, position);
      if (ways.length * classes > table.length) {
        const larger = new Int32Array(Math.max(64 * classes, 2 * table.length));
        larger.set(table);
        table = larger;
      }
    }
    return position;
  };
  const readsByte = (state: number): boolean => {
    for (let edge = offsets[state] as number; edge < (offsets[state + 1] as number); edge++) {
      if ((edges[3 * edge] as number) >= 0) return true;
    }
    return false;
  };
  const follow = ({ list }: Ways, byte: number): Position => {
    const seeds: [number, Stack][] = [];
    for (const [state, stack] of list) {
      for (let edge = offsets[state] as number; edge < (offsets[state + 1] as number); edge++) {
        spend(1);
        const label = edges[3 * edge] as number;
        if (label >= 0 && byte >= (label & 0xff) && byte <= label >> 8)
          seeds.push([edges[3 * edge + 1] as number, stack]);
      }
    }
    return seeds.length > 0 ? close(seeds) : NOWHERE;
  };

  /** Index 0 is no position: in the table it stands for "not asked yet". */
  const none: Ways = { complete: false, list: [] };
  ways.push(none);
  return {
    start: close([[start, bottom]]),
    classOf,
    classes,
    get table() {
      return table;
    },
    step(from, byte) {
      const at = from * classes + (classOf[byte] as number);
      const before = table[at] as number;
      if (before !== 0) return before;
      const next = follow(ways[from] as Ways, byte);
      table[at] = next;
      return next;
    },
    isComplete: (position) => (ways[position] as Ways).complete,
    isOver: (position) => (ways[position] as Ways).complete && (ways[position] as Ways).list.length === 0,
    get kept() {
      return kept;
    },
    forget(but) {
      const at = ways[but] as Ways;
      known.clear();
      stacks.clear();
      frames.clear();
      table = new Int32Array(0);
      ways.splice(0, ways.length, none);
      kept = 0;
      return positionOf(at);
    },
    get work() {
      return work;
    },
    allow() {
      limit = work + MAX_WORK;
    },
  };
}

/** Bytes that no edge of the grammar tells apart are one class. */
function byteClasses(edges: Int32Array): { classOf: Uint8Array; classes: number } {
  const begins = new Uint8Array(257);
  for (let at = 0; at < edges.length; at += 3) {
    const label = edges[at] as number;
    if (label < 0) continue;
    begins[label & 0xff] = 1;
    begins[(label >> 8) + 1] = 1;
  }
  const classOf = new Uint8Array(256);
  let last = 0;
  for (let byte = 1; byte < 256; byte++) {
    if (begins[byte]) last++;
    classOf[byte] = last;
  }
  return { classOf, classes: last + 1 };
}
