// Sequences and their KV cache: for each slot with attention and each of its KV heads, a list of pages.
import type { Plan } from "../../variants/plan.ts";
import { EngineError, type Sequence } from "../types.ts";
import type { LoadedAdapter } from "./adapters.ts";
import { type Memory, mebibytes } from "./memory.ts";
import { PAGE_TOKENS, type Shapes } from "./shapes.ts";

export interface WasmSequence extends Sequence {
  readonly capacity: number;
  readonly adapter: LoadedAdapter | undefined;
  /** Pages that one KV head's list has room for. */
  readonly pagesPerHead: number;
  readonly closed: boolean;
  /** Page addresses of a KV slot, `pagesPerHead` for each KV head. */
  pages(kv: number): Uint32Array;
  /** Makes room for tokens and counts them as held. */
  append(tokens: number): void;
  /**
   * Goes on under another plan.
   * @param kv for each of its KV slots the one, of the plan so far, that it goes on with
   * @param adapter takes the place of the one so far, which is released
   */
  adopt(plan: Plan, kv: readonly number[], adapter: LoadedAdapter | undefined): void;
  /** Until `release`, closing leaves the pages in place: a step is reading them. */
  retain(): void;
  release(): void;
}

export interface SequenceOptions {
  readonly memory: Memory;
  readonly plan: Plan;
  readonly capacity: number;
  readonly headDim: number;
  readonly adapter: LoadedAdapter | undefined;
}

const kvHeadsOf = (plan: Plan, headDim: number): number[] =>
  plan.slots.flatMap(({ attn }) => (attn ? [attn.k.rows / headDim] : []));

/** Most tokens that a sequence may hold when memory holds no other, beside its own adapter. */
export function capacityOf(memory: Memory, plan: Plan, shapes: Shapes): number {
  const { adapter, page } = unitsOf(plan, shapes);
  const left = memory.units - adapter;
  if (left < 0) return 0;
  return page === 0 ? plan.contextLength : Math.min(plan.contextLength, Math.floor(left / page) * PAGE_TOKENS);
}

/** @throws EngineError `context_overflow` that says how much does fit */
export function checkCapacity(memory: Memory, plan: Plan, shapes: Shapes, capacity: number): void {
  const limit = capacityOf(memory, plan, shapes);
  if (capacity <= limit) return;
  const { adapter, page } = unitsOf(plan, shapes);
  const bytes = (units: number): string => mebibytes(units * shapes.pageBytes);
  throw new EngineError(
    "context_overflow",
    limit > 0
      ? `here ${plan.id} holds at most ${limit} tokens, prompt and reply together, not ${capacity}`
      : `here ${plan.id} holds no token: its adapter and the KV caches of ${PAGE_TOKENS} tokens need ${bytes(adapter + page)}, and beside the weights there are ${bytes(memory.units)}`,
  );
}

/** Units of memory that an adapter takes, and a page in each KV cache. */
const unitsOf = (plan: Plan, { headDim, pageBytes }: Shapes) => ({
  adapter: Math.ceil((plan.adapter?.imageBytes ?? 0) / pageBytes),
  page: kvHeadsOf(plan, headDim).reduce((sum, count) => sum + count, 0),
});

/** @throws EngineError `out_of_memory` when the KV cache may not fit */
export function openSequence({ memory, plan, capacity, headDim, adapter }: SequenceOptions): WasmSequence {
  const kvHeads = kvHeadsOf(plan, headDim);
  const heads = kvHeads.reduce((sum, count) => sum + count, 0);
  const pagesPerHead = Math.ceil(capacity / PAGE_TOKENS);
  memory.promise(heads * pagesPerHead, `a KV cache of ${capacity} tokens of ${plan.id}`);
  const table = new Uint32Array(heads * pagesPerHead);
  const tables: Uint32Array[] = [];
  for (let kv = 0, head = 0; kv < kvHeads.length; kv++) {
    const next = head + (kvHeads[kv] as number);
    tables.push(table.subarray(head * pagesPerHead, next * pagesPerHead));
    head = next;
  }

  let current = { plan, adapter, tables };
  let length = 0;
  let held = 0;
  let closed = false;
  let retained = false;
  let freed = false;
  const free = (): void => {
    if (freed || !closed || retained) return;
    freed = true;
    for (let head = 0; head < heads; head++) {
      for (let page = 0; page < held; page++) memory.give(table[head * pagesPerHead + page] as number);
    }
    memory.forgo(table.length);
    current.adapter?.release();
  };
  return {
    get plan() {
      return current.plan;
    },
    capacity,
    get adapter() {
      return current.adapter;
    },
    pagesPerHead,
    get length() {
      return length;
    },
    get closed() {
      return closed;
    },
    pages: (kv) => current.tables[kv] as Uint32Array,
    adopt(to, kv, own) {
      current.adapter?.release();
      current = { plan: to, adapter: own, tables: kv.map((slot) => current.tables[slot] as Uint32Array) };
    },
    append(tokens) {
      if (length + tokens > capacity) {
        throw new EngineError("context_overflow", `${length + tokens} tokens do not fit a sequence of ${capacity}`);
      }
      length += tokens;
      for (; held < Math.ceil(length / PAGE_TOKENS); held++) {
        for (let head = 0; head < heads; head++) table[head * pagesPerHead + held] = memory.take();
      }
    },
    truncate(to) {
      if (!(to >= 0 && to <= length)) throw new RangeError(`a sequence of ${length} tokens cannot be cut to ${to}`);
      length = to;
    },
    retain() {
      retained = true;
    },
    release() {
      retained = false;
      free();
    },
    close() {
      closed = true;
      free();
    },
  };
}
