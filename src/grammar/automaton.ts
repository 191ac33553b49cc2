// A grammar as the replica gets it: one flat automaton over bytes, plain data, so that schemas are read where requests are checked and
// the isolate that holds the weights needs nothing but the numbers.
import type { Steps, Work } from "../work.ts";

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
  /** Counts what states and edges cost. */
  readonly work: Work;
  /** The state that ends a rule. */
  readonly done: State;
  /** A new state without edges. @throws GrammarTooLarge */
  state(): State;
  /** The state that reads one byte of a range and goes on at `next`; the same for the same arguments. @throws GrammarTooLarge */
  byte(lo: number, hi: number, next: State): State;
  /** The state that may go on as any of these. @throws GrammarTooLarge */
  any(states: readonly State[]): State;
  jump(from: State, to: State): void;
  /** Lets a state read one byte of a range, too. */
  read(from: State, lo: number, hi: number, next: State): void;
  /** The state that reads what the rule at `start` reads and goes on at `next`. @throws GrammarTooLarge */
  call(start: State, next: State): State;
  /** `[states]`: 1 for those from which the end can be reached. */
  productive(): Steps<Uint8Array>;
  /** The automaton from `start` on, without edges that lead nowhere. @param reaches what `productive` gives */
  build(start: State, reaches: Uint8Array): Steps<Grammar>;
}

export function createAutomatonBuilder(work: Work): AutomatonBuilder {
  /** Per state its edges, three numbers each. */
  const edges: number[][] = [[DONE, 0, 0]];
  const bytes = new Map<number, State>();

  const state = (): State => {
    work.spend(1);
    if (edges.length === MAX_STATES) throw new GrammarTooLarge(`a grammar may have ${MAX_STATES} states`);
    return edges.push([]) - 1;
  };
  const add = (from: State, label: number, to: State): void => {
    work.spend(1);
    edges[from]?.push(label, to, 0);
  };
  const withEdges = (list: number[]): State => {
    const made = state();
    edges[made] = list;
    return made;
  };

  return {
    work,
    done: 0,
    state,
    byte(lo, hi, next) {
      const key = next * 65_536 + (lo | (hi << 8));
      let made = bytes.get(key);
      if (made === undefined) {
        made = withEdges([lo | (hi << 8), next, 0]);
        bytes.set(key, made);
      }
      return made;
    },
    any(states) {
      work.spend(states.length);
      if (states.length === 1) return states[0] as State;
      // What only reads a few bytes needs no jump: its edges stand here as well. A few, or chains of choices would grow as their square.
      const own: number[] = [];
      for (const to of states) {
        const list = edges[to] as number[];
        if (onlyReads(list)) for (const part of list) own.push(part);
        else own.push(JUMP, to, 0);
      }
      return withEdges(own);
    },
    jump: (from, to) => add(from, JUMP, to),
    read: (from, lo, hi, next) => add(from, lo | (hi << 8), next),
    // A call at a rule's end returns to nothing: going there is enough, and leaves nothing open.
    call: (start, next) => (next === 0 ? start : withEdges([CALL, start, next])),
    productive: () => productive(edges, work),
    build: (start, reaches) => build(edges, { start, reaches, work }),
  };
}

/** Whether edges read bytes and do nothing else, and are few. */
function onlyReads(list: readonly number[]): boolean {
  if (list.length === 0 || list.length > MAX_COPIED) return false;
  for (let at = 0; at < list.length; at += 3) if ((list[at] as number) < 0) return false;
  return true;
}

interface BuildOptions {
  readonly start: State;
  readonly reaches: Uint8Array;
  readonly work: Work;
}

function* build(edges: readonly (readonly number[])[], { start, reaches, work }: BuildOptions): Steps<Grammar> {
  /** By state its number in the grammar, from 1 on. */
  const number = new Int32Array(edges.length);
  const order: State[] = [];
  const visit = (id: State): number => {
    if (number[id] === 0) number[id] = order.push(id);
    return (number[id] as number) - 1;
  };
  const offsets: number[] = [0];
  const flat: number[] = [];
  visit(start);
  for (let i = 0; i < order.length; i++) {
    const list = edges[order[i] as State] as readonly number[];
    work.spend(1 + list.length / 6);
    if (work.takeTurn()) yield;
    for (let at = 0; at < list.length; at += 3) {
      const label = list[at] as number;
      const target = list[at + 1] as State;
      const back = list[at + 2] as State;
      if (label === DONE) flat.push(label, 0, 0);
      else if (reaches[target] && (label !== CALL || reaches[back])) {
        flat.push(label, visit(target), label === CALL ? visit(back) : 0);
      }
    }
    offsets.push(flat.length / 3);
  }
  return { start: 0, offsets: Int32Array.from(offsets), edges: Int32Array.from(flat) };
}

/** Goes from the end back, along each edge once; a call leads to the end when both of its states do. */
function* productive(edges: readonly (readonly number[])[], work: Work): Steps<Uint8Array> {
  const reaches = new Uint8Array(edges.length);
  /** The edges that lead to a state, as a list that begins here: whose, where in its list, and the next entry. */
  const first = new Int32Array(edges.length).fill(-1);
  const entries = new Int32Array(2 * edges.reduce((sum, list) => sum + list.length, 0));
  let end = 0;
  const need = (to: State, id: State, at: number): void => {
    entries[end] = id;
    entries[end + 1] = at;
    entries[end + 2] = first[to] as number;
    first[to] = end;
    end += 3;
  };
  const due: State[] = [];
  const reach = (id: State): void => {
    if (reaches[id]) return;
    reaches[id] = 1;
    due.push(id);
  };
  for (let id = 0; id < edges.length; id++) {
    const list = edges[id] as readonly number[];
    work.spend(1 + list.length / 6);
    if (work.takeTurn()) yield;
    for (let at = 0; at < list.length; at += 3) {
      if (list[at] === DONE) reach(id);
      else need(list[at + 1] as State, id, at);
      if (list[at] === CALL) need(list[at + 2] as State, id, at);
    }
  }
  for (let to = due.pop(); to !== undefined; to = due.pop()) {
    if (work.takeTurn()) yield;
    for (let entry = first[to] as number; entry >= 0; entry = entries[entry + 2] as number) {
      work.spend(1);
      const [id, at] = [entries[entry] as State, entries[entry + 1] as number];
      const own = edges[id] as readonly number[];
      if (reaches[own[at + 1] as State] && (own[at] !== CALL || reaches[own[at + 2] as State])) reach(id);
    }
  }
  return reaches;
}
