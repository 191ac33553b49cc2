// A grammar as the replica gets it: one flat automaton over bytes, plain data, so that schemas are read where requests are checked and
// the isolate that holds the weights needs nothing but the numbers.

/** An edge's label: from `lo | hi << 8` (one byte of that range), or one of these. */
export const JUMP = -1;
export const CALL = -2;
export const DONE = -3;

/**
 * A pushdown automaton over UTF-8 bytes. An edge is three numbers: label, target, and for `CALL` the state to return to. `CALL` enters a
 * rule at its target; `DONE` ends a rule, and the text when no rule is left. Every state can reach the end.
 */
export interface Grammar {
  readonly start: number;
  /** `[states + 1]`: where a state's edges begin in `edges`, counted in edges. */
  readonly offsets: Int32Array;
  /** `[edges, 3]` */
  readonly edges: Int32Array;
}

/** The state at which a piece of grammar begins. */
export type State = number;

/** A piece of grammar: given the state that follows it, makes its states and returns the one it begins with. */
export type Fragment = (next: State) => State;

/** States that one grammar may have: some 2 MB. */
const MAX_STATES = 60_000;

/** Numbers of the edges that a state may take over from another. */
const MAX_COPIED = 3 * 8;

/** The grammar has more states than a replica takes. */
export class GrammarTooLarge extends Error {
  override readonly name = "GrammarTooLarge";
}

export interface AutomatonBuilder {
  /** The state that ends a rule. */
  readonly done: State;
  /** A new state without edges. @throws GrammarTooLarge */
  state(): State;
  /** The state that reads one byte of a range and goes on at `next`; the same for the same arguments. @throws GrammarTooLarge */
  byte(lo: number, hi: number, next: State): State;
  /** The state that may go on as any of these. @throws GrammarTooLarge */
  any(states: readonly State[]): State;
  jump(from: State, to: State): void;
  /** The state that reads what the rule at `start` reads and goes on at `next`. @throws GrammarTooLarge */
  call(start: State, next: State): State;
  /** States from which the end can be reached. */
  productive(): Uint8Array;
  /** The automaton from `start` on, without edges that lead nowhere. */
  build(start: State): Grammar;
}

export function createAutomatonBuilder(): AutomatonBuilder {
  /** Per state its edges, three numbers each. */
  const edges: number[][] = [[DONE, 0, 0]];
  const bytes = new Map<string, State>();

  const state = (): State => {
    if (edges.length === MAX_STATES) throw new GrammarTooLarge(`a grammar may have ${MAX_STATES} states`);
    return edges.push([]) - 1;
  };
  const withEdges = (list: number[]): State => {
    const made = state();
    edges[made] = list;
    return made;
  };
  const productive = (): Uint8Array => {
    const reaches = new Uint8Array(edges.length);
    const leads = (at: number, list: readonly number[]): boolean =>
      list[at] === DONE ||
      (reaches[list[at + 1] as number] === 1 && (list[at] !== CALL || reaches[list[at + 2] as number] === 1));
    const order = edges.map((_, id) => id);
    // There and back: states are mostly made after what follows them, rules before.
    for (let changed = true; changed; order.reverse()) {
      changed = false;
      for (const id of order) {
        if (reaches[id]) continue;
        const list = edges[id] as number[];
        for (let at = 0; at < list.length && !reaches[id]; at += 3) if (leads(at, list)) reaches[id] = 1;
        if (reaches[id]) changed = true;
      }
    }
    return reaches;
  };

  return {
    done: 0,
    state,
    byte(lo, hi, next) {
      const key = `${lo},${hi},${next}`;
      let made = bytes.get(key);
      if (made === undefined) {
        made = withEdges([lo | (hi << 8), next, 0]);
        bytes.set(key, made);
      }
      return made;
    },
    any(states) {
      if (states.length === 1) return states[0] as State;
      // What only reads a few bytes needs no jump: its edges stand here as well. A few, or chains of choices would grow as their square.
      return withEdges(
        states.flatMap((to) => {
          const list = edges[to] as number[];
          return list.length > 0 && list.length <= MAX_COPIED && list.every((label, at) => at % 3 !== 0 || label >= 0)
            ? list
            : [JUMP, to, 0];
        }),
      );
    },
    jump: (from, to) => void edges[from]?.push(JUMP, to, 0),
    // A call at a rule's end returns to nothing: going there is enough, and leaves nothing open.
    call: (start, next) => (next === 0 ? start : withEdges([CALL, start, next])),
    productive,
    build(start) {
      const reaches = productive();
      const number = new Map<State, number>();
      const order: State[] = [];
      const visit = (id: State): void => {
        if (number.has(id)) return;
        number.set(id, order.push(id) - 1);
      };
      const kept: number[][] = [];
      visit(start);
      for (let i = 0; i < order.length; i++) {
        const list = edges[order[i] as State] as number[];
        const own: number[] = [];
        for (let at = 0; at < list.length; at += 3) {
          const [label, target, back] = list.slice(at, at + 3) as [number, number, number];
          if (label !== DONE && !reaches[target]) continue;
          if (label === CALL && !reaches[back]) continue;
          own.push(label, target, back);
          if (label !== DONE) visit(target);
          if (label === CALL) visit(back);
        }
        kept.push(own);
      }
      const offsets = new Int32Array(kept.length + 1);
      for (const [i, own] of kept.entries()) offsets[i + 1] = (offsets[i] as number) + own.length / 3;
      const flat = new Int32Array((offsets[kept.length] as number) * 3);
      let to = 0;
      for (const own of kept) {
        for (let at = 0; at < own.length; at += 3) {
          flat[to++] = own[at] as number;
          flat[to++] = number.get(own[at + 1] as number) ?? 0;
          flat[to++] = own[at] === CALL ? (number.get(own[at + 2] as number) ?? 0) : 0;
        }
      }
      return { start: 0, offsets, edges: flat };
    },
  };
}
