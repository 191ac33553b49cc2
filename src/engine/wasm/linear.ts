// A linear layer over the rows of a group of entries: one product with the shared weights for all of them, then what each entry's
// adapter adds to its own rows.

import type { Linear, PlanSlot, Tensor } from "../../variants/index.ts";
import type { Factors } from "./adapters.ts";
import type { Kernels } from "./kernels.ts";
import type { Memory } from "./memory.ts";
import { JOB_BYTES, type Scratch, WIDENED_TOKENS } from "./scratch.ts";
import type { WasmSequence } from "./sequences.ts";
import { panel16Bytes, type Shapes } from "./shapes.ts";

/** Most multiply-adds of one kernel call: between calls the event loop can have its turn. */
export const CALL_MULTIPLY_ADDS = 24e6;

export interface Machine {
  readonly kernels: Kernels;
  readonly memory: Memory;
  readonly scratch: Scratch;
  readonly shapes: Shapes;
  /** Address of a tensor of a plan that a sequence was opened with. */
  at(tensor: Tensor): number;
}

/** Part of a group: rows of one sequence, side by side. */
export interface Rows {
  readonly sequence: WasmSequence;
  /** The slot at work, and its index in the sequence's plan. */
  readonly slot: PlanSlot;
  readonly index: number;
  /** First row in the group, and rows. */
  readonly first: number;
  readonly count: number;
  /** Position of the first row's token. */
  readonly position: number;
  /** The first row's index among all rows of the pass, where its angles are. */
  readonly row: number;
}

/** 8-bit activations of all rows of a group. */
export interface Panels {
  readonly at: number;
  readonly cols: number;
}

export interface Job {
  readonly factors: Factors;
  readonly first: number;
  readonly count: number;
  /** A x at 16 bits. */
  readonly panels: number;
}

/** Work in pieces: each step of the generator is one kernel call, and gives the multiply-adds just done. */
export type Work = Generator<number, void, void>;

/** Most groups of eight rows, of this many multiply-adds each, that one call takes: a multiple of three, as the kernels like it. */
export function groupsPerCall(multiplyAdds: number): number {
  const most = Math.max(1, Math.floor(CALL_MULTIPLY_ADDS / multiplyAdds));
  return most > 3 ? most - (most % 3) : most;
}

/** Writes fp32 `[rows, tensor.rows]` to `out`, rows `outStride` bytes apart. */
export function* linear(
  machine: Machine,
  tensor: Tensor,
  name: Linear,
  group: readonly Rows[],
  input: Panels,
  out: number,
  outStride: number,
): Work {
  const { kernels } = machine;
  const multiply = tensor.type === "q8_0" ? multiplyQ8 : multiplyQ4;
  yield* multiply(machine, tensor, countRows(group), input.at, out, outStride);
  const groups = Math.ceil(tensor.rows / 8);
  for (const { factors, first, count, panels } of lowRank(machine, name, group, input, 0)) {
    const { b, rankBlocks, scale } = factors;
    const to = out + first * outStride;
    kernels.multiplyQ8(b, groups, rankBlocks, panels, count, to, outStride, scale, 1);
    yield count * rankBlocks * 32 * (tensor.rows + tensor.cols);
  }
}

type Multiply = (
  machine: Machine,
  tensor: Tensor,
  tokens: number,
  panels: number,
  out: number,
  outStride: number,
) => Work;

const multiplyQ4: Multiply = function* ({ kernels, scratch, at }, tensor, tokens, panels, out, outStride) {
  const blocks = tensor.cols / 32;
  const groups = Math.ceil(tensor.rows / 8);
  const most = groupsPerCall(tokens * tensor.cols * 8);
  const weights = at(tensor);
  for (let first = 0; first < groups; first += most) {
    const count = Math.min(most, groups - first);
    kernels.multiplyQ4(
      weights + first * blocks * 160,
      count,
      blocks,
      panels,
      tokens,
      out + first * 32,
      outStride,
      scratch.unpacked,
    );
    yield count * 8 * tensor.cols * tokens;
  }
};

/** Weights of 8 bits read 16-bit panels: the same values, of as many tokens at a time as there is room for. */
const multiplyQ8: Multiply = function* (machine, tensor, tokens, panels, out, outStride) {
  const { kernels, scratch } = machine;
  const blocks = tensor.cols / 32;
  const groups = Math.ceil(tensor.rows / 8);
  const weights = machine.at(tensor);
  for (let done = 0; done < tokens; done += WIDENED_TOKENS) {
    const some = Math.min(WIDENED_TOKENS, tokens - done);
    widen(machine, { at: panels, cols: tensor.cols }, tokens, done, some, scratch.widened);
    const most = groupsPerCall(some * tensor.cols * 8);
    for (let first = 0; first < groups; first += most) {
      const count = Math.min(most, groups - first);
      const to = out + done * outStride + first * 32;
      kernels.multiplyQ8(weights + first * blocks * 272, count, blocks, scratch.widened, some, to, outStride, 1, 0);
      yield count * 8 * tensor.cols * some;
    }
  }
};

/** Writes `count` of `tokens` 8-bit rows, from `first` on, to 16-bit panels of their own. */
export function widen(
  { kernels }: Machine,
  { at, cols }: Panels,
  tokens: number,
  first: number,
  count: number,
  to: number,
): void {
  for (let i = 0; i < count; i++) kernels.widen(at, first + i, tokens, cols / 32, to, i, count);
}

/** Computes A x for all rows that have an adapter for this linear. */
export function lowRank(machine: Machine, name: Linear, group: readonly Rows[], input: Panels, side: 0 | 1): Job[] {
  const { kernels, scratch } = machine;
  const blocks = input.cols / 32;
  const jobs: Job[] = [];
  const tokens = countRows(group);
  let panels = scratch.adapter.panels[side];
  for (const { sequence, index, first, count } of group) {
    const factors = sequence.adapter?.of(index, name);
    if (!factors) continue;
    const { a, rankBlocks } = factors;
    const rank = rankBlocks * 32;
    const { low } = scratch.adapter;
    for (let done = 0; done < count; done += WIDENED_TOKENS) {
      const some = Math.min(WIDENED_TOKENS, count - done);
      widen(machine, input, tokens, first + done, some, scratch.widened);
      kernels.multiplyQ8(a, rank / 8, blocks, scratch.widened, some, low, rank * 4, 1, 0);
      kernels.quantizeRows16(low, rank * 4, some, rankBlocks, panels, done, count);
    }
    jobs.push({ factors, first, count, panels });
    panels += count * panel16Bytes(rank);
  }
  return jobs;
}

/** Writes jobs where `feedForward` finds them. */
export function writeJobs({ memory, scratch }: Machine, jobs: readonly Job[], side: 0 | 1): number {
  const at = scratch.adapter.jobs[side];
  for (const [i, { factors, first, count, panels }] of jobs.entries()) {
    const word = (at + i * JOB_BYTES) / 4;
    memory.u32.set([factors.b, factors.rankBlocks, 0, panels, first, count], word);
    memory.f32[word + 2] = factors.scale;
  }
  return at;
}

/** Makes a row of the residual stream the one at `at` in the table of rows that kernels read. */
export function setRow({ memory, scratch, shapes }: Machine, at: number, row: number): void {
  memory.u32[scratch.rows / 4 + at] = scratch.residual + row * shapes.hidden * 4;
}

export const countRows = (group: readonly Rows[]): number => group.reduce((sum, { count }) => sum + count, 0);
