// Sequences and their KV cache: for each slot with attention and each of its KV heads, a list of pages.
import type { Plan } from "../../variants/index.ts";
import { EngineError, type PromptLikelihoods, type Sequence } from "../types.ts";
import type { LoadedAdapter } from "./adapters.ts";
import { type Memory, mebibytes } from "./memory.ts";
import type { PrefixPage, PrefixTree } from "./prefixes.ts";
import { PAGE_TOKENS, type Shapes } from "./shapes.ts";

export interface WasmSequence extends Sequence {
  readonly capacity: number;
  readonly adapter: LoadedAdapter | undefined;
  /** Pages that one KV head's list has room for. */
  readonly pagesPerHead: number;
  readonly closed: boolean;
  /** Whether the next token goes into a page that is shared, where it may only leave the bits that are there. */
  readonly rewritesShared: boolean;
  /** Page addresses of a KV slot, `pagesPerHead` for each KV head. */
  pages(kv: number): Uint32Array;
  /** Makes room for tokens and counts them as held. */
  append(tokens: readonly number[]): void;
  /** Takes back what was appended for a step that was not made. */
  rewind(length: number): void;
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
  /** Where it may share what it holds; without one it shares nothing. */
  readonly tree: PrefixTree | undefined;
  /** Pages that `reuse` will take over: they are held, and need no memory. */
  readonly pinned: readonly PrefixPage[];
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

/** Units of memory that a sequence needs beside the pages that it takes over. */
function unitsFor({ plan, headDim, capacity, pinned }: SequenceOptions): number {
  const heads = kvHeadsOf(plan, headDim).reduce((sum, count) => sum + count, 0);
  return heads * (Math.ceil(capacity / PAGE_TOKENS) - pinned.length);
}
const nameOf = ({ plan, capacity }: SequenceOptions): string => `a KV cache of ${capacity} tokens of ${plan.id}`;

/**
 * @param evictable units that may be freed for it: where they are too few, nothing is evicted in vain
 * @throws EngineError `out_of_memory`
 */
export function checkRoom(options: SequenceOptions, evictable: number): void {
  const { memory } = options;
  const units = unitsFor(options);
  if (units <= memory.free + evictable) return;
  memory.promise(units, nameOf(options));
}

/** @throws EngineError `out_of_memory` when the KV cache may not fit */
export function openSequence(options: SequenceOptions): WasmSequence {
  const { memory, plan, capacity, headDim, adapter, tree } = options;
  const kvHeads = kvHeadsOf(plan, headDim);
  const heads = kvHeads.reduce((sum, count) => sum + count, 0);
  const pagesPerHead = Math.ceil(capacity / PAGE_TOKENS);
  let { pinned } = options;
  memory.promise(unitsFor(options), nameOf(options));
  /** Lets the pinned pages go; from then on memory is promised for all pages but the shared ones. */
  const unpin = (pages: number): void => {
    const more = heads * (pinned.length - pages);
    if (more > 0) memory.promise(more, nameOf(options));
    else memory.forgo(-more);
    for (const page of pinned) page.users--;
    pinned = [];
  };
  const table = new Uint32Array(heads * pagesPerHead);
  const tables: Uint32Array[] = [];
  for (let kv = 0, head = 0; kv < kvHeads.length; kv++) {
    const next = head + (kvHeads[kv] as number);
    tables.push(table.subarray(head * pagesPerHead, next * pagesPerHead));
    head = next;
  }

  let current = { plan, adapter, tables };
  let length = 0;
  /** Token ids held, and others after them. */
  const ids: number[] = [];
  /** Its first pages, as far as they are the tree's. */
  const shared: PrefixPage[] = [];
  /** Addresses of a page by KV head. */
  const column = (page: number): Uint32Array =>
    Uint32Array.from({ length: heads }, (_, head) => table[head * pagesPerHead + page] as number);
  const setColumn = (page: number, addresses: Uint32Array): void => {
    for (let head = 0; head < heads; head++) table[head * pagesPerHead + page] = addresses[head] as number;
  };
  /** The next page is the tree's from now on, and so is the memory that is promised for it. */
  const hold = (page: PrefixPage): void => {
    page.users++;
    shared.push(page);
  };
  let held = 0;
  let closed = false;
  let retained = false;
  let freed = false;
  /** What two plans computed together is of use to neither. */
  let sharable = true;
  const free = (): void => {
    if (freed || !closed || retained) return;
    freed = true;
    for (let page = shared.length; page < held; page++) for (const address of column(page)) memory.give(address);
    memory.forgo(heads * (pagesPerHead - Math.max(shared.length, pinned.length)));
    for (const page of pinned) page.users--;
    for (const page of shared) page.users--;
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
    get rewritesShared() {
      return length < shared.length * PAGE_TOKENS;
    },
    pages: (kv) => current.tables[kv] as Uint32Array,
    adopt(to, kv, own) {
      sharable = false;
      current.adapter?.release();
      current = { plan: to, adapter: own, tables: kv.map((slot) => current.tables[slot] as Uint32Array) };
    },
    append(tokens) {
      if (length + tokens.length > capacity) {
        const all = length + tokens.length;
        throw new EngineError("context_overflow", `${all} tokens do not fit a sequence of ${capacity}`);
      }
      if (pinned.length > 0) unpin(0);
      for (const id of tokens) ids[length++] = id;
      for (; held < Math.ceil(length / PAGE_TOKENS); held++) {
        for (let head = 0; head < heads; head++) table[head * pagesPerHead + held] = memory.take();
      }
    },
    rewind(to) {
      length = to;
    },
    truncate(to) {
      if (!(to >= shared.length * PAGE_TOKENS && to <= length)) {
        throw new RangeError(
          `a sequence of ${length} tokens, ${shared.length * PAGE_TOKENS} of them shared, cannot be cut to ${to}`,
        );
      }
      length = to;
    },
    reuse(tokens, top) {
      if (length > 0 || held > 0) throw new Error("only an empty sequence takes over what others hold");
      const found = tree?.find(tokens, top) ?? [];
      for (const [page, node] of found.entries()) {
        setColumn(page, node.pages);
        hold(node);
      }
      held = found.length;
      unpin(held);
      // A token that is stepped again, in a page that is shared, gives the bits that are there. It is when the prompt's last one is there,
      // and with likelihoods, because how likely the token after the last page is was not kept.
      length = Math.max(0, Math.min(held * PAGE_TOKENS - (top === undefined ? 0 : 1), tokens.length - 1));
      for (let i = 0; i < length; i++) ids[i] = tokens[i] as number;
      return top === undefined ? new Float32Array(0) : likelihoodsOf(found, top);
    },
    share(likelihoods) {
      if (!tree || !sharable) return;
      for (let page = shared.length; (page + 1) * PAGE_TOKENS <= length; page++) {
        const own = column(page);
        const node = tree.add(shared.at(-1), ids.slice(page * PAGE_TOKENS, (page + 1) * PAGE_TOKENS), own);
        if (node.pages !== own) {
          // The same bits were there already.
          for (const address of own) memory.give(address);
          setColumn(page, node.pages);
          memory.forgo(heads);
        }
        hold(node);
      }
      if (likelihoods) keepLikelihoods(shared, likelihoods);
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

/** The first row of a page's likelihoods, which is that of its first token but on the first page. */
const firstRow = (page: number): number => Math.max(0, page * PAGE_TOKENS - 1);

/** Gives pages the rows of their tokens, where they have none, or fewer of the likeliest. */
function keepLikelihoods(pages: readonly PrefixPage[], { top, rows }: PromptLikelihoods): void {
  const width = 1 + 2 * top;
  for (const [page, node] of pages.entries()) {
    const last = (page + 1) * PAGE_TOKENS - 1;
    if (last * width > rows.length || (node.likelihoods && node.likelihoods.top >= top)) continue;
    node.likelihoods = { top, rows: rows.slice(firstRow(page) * width, last * width) };
  }
}

/** The rows of all pages, with the first `top` of the likeliest: `[tokens - 1, 1 + 2 * top]`. */
function likelihoodsOf(pages: readonly PrefixPage[], top: number): Float32Array {
  const width = 1 + 2 * top;
  const all = new Float32Array(firstRow(pages.length) * width);
  for (const [page, { likelihoods }] of pages.entries()) {
    const { top: kept, rows } = likelihoods as PromptLikelihoods;
    const keptWidth = 1 + 2 * kept;
    for (let row = 0; row * keptWidth < rows.length; row++) {
      all.set(rows.subarray(row * keptWidth, row * keptWidth + width), (firstRow(page) + row) * width);
    }
  }
  return all;
}
