// The two sublayers of a decoder layer, over the rows of a group of entries that are at the same one.
import type { AttentionPlan, MlpPlan, Tensor } from "../../variants/index.ts";
import {
  CALL_MULTIPLY_ADDS,
  countRows,
  linear,
  lowRank,
  type Machine,
  type Rows,
  type Work,
  widen,
  writeJobs,
} from "./linear.ts";
import { GATE_UP_BLOCKS } from "./scratch.ts";

/** Adds what is in `scratch.wide`, and a bias where there is one, to the residual rows in the row table. */
function add({ kernels, scratch, shapes, at }: Machine, tokens: number, bias: Tensor | undefined): void {
  kernels.addRows(scratch.wide, shapes.hidden * 4, tokens, shapes.hidden, scratch.rows);
  // Rows no bytes apart are one row for all.
  if (bias) kernels.addRows(at(bias), 0, tokens, shapes.hidden, scratch.rows);
}

/** Adds attention to the residual rows in the row table. All rows have the same weights, each sequence its own cache. */
export function* attention(machine: Machine, attn: AttentionPlan, group: readonly Rows[]): Work {
  const { kernels, memory, scratch, shapes } = machine;
  const tokens = countRows(group);
  const input = { at: scratch.input, cols: attn.q.cols };
  normalize(machine, attn.norm, tokens);

  const stride = (attn.q.rows + attn.k.rows + attn.v.rows) * 4;
  const k = scratch.wide + attn.q.rows * 4;
  const v = k + attn.k.rows * 4;
  yield* linear(machine, attn.q, "q", group, input, scratch.wide, stride);
  yield* linear(machine, attn.k, "k", group, input, k, stride);
  yield* linear(machine, attn.v, "v", group, input, v, stride);

  const { headDim } = shapes;
  const heads = attn.q.rows / headDim;
  const kvHeads = attn.k.rows / headDim;
  for (const { sequence, slot, first, count, position, row } of group) {
    const angles = scratch.angles + row * headDim * 4;
    const at = first * stride;
    const { pagesPerHead } = sequence;
    memory.u32.set(sequence.pages(slot.attn?.kv ?? 0), scratch.pages / 4);
    kernels.storeKv(count, position, k + at, v + at, stride, angles, kvHeads, headDim, scratch.pages, pagesPerHead);
    const each = heads * headDim * 2 * (position + count);
    const most = Math.max(1, Math.floor(CALL_MULTIPLY_ADDS / each));
    for (let done = 0; done < count; done += most) {
      const some = Math.min(most, count - done);
      const q = scratch.wide + at + done * stride;
      kernels.attend(
        some,
        position + done,
        q,
        stride,
        angles + done * headDim * 4,
        kvHeads,
        heads / kvHeads,
        headDim,
        scratch.pages,
        pagesPerHead,
        q,
        stride,
        scratch.attention,
      );
      yield some * each;
    }
  }

  const cols = attn.o.cols;
  kernels.quantizeRows8(scratch.wide, stride, tokens, cols, scratch.input);
  yield* linear(machine, attn.o, "o", group, { at: scratch.input, cols }, scratch.wide, shapes.hidden * 4);
  add(machine, tokens, attn.bias);
}

/** Adds the MLP to the residual rows in the row table. */
export function* feedForward(machine: Machine, mlp: MlpPlan, group: readonly Rows[]): Work {
  const { kernels, scratch, shapes, at } = machine;
  const tokens = countRows(group);
  const { cols } = mlp.gate;
  const width = mlp.gate.rows;
  const input = { at: scratch.input, cols };
  normalize(machine, mlp.norm, tokens);

  const gateJobs = lowRank(machine, "gate", group, input, 0);
  const upJobs = lowRank(machine, "up", group, input, 1);
  const gateTable = writeJobs(machine, gateJobs, 0);
  const upTable = writeJobs(machine, upJobs, 1);
  const is8 = ({ type }: Tensor): boolean => type === "q8_0";
  const panels16 = (weights: Tensor): number => (is8(weights) ? scratch.wide : 0);
  if (is8(mlp.gate) || is8(mlp.up)) widen(machine, input, tokens, 0, tokens, scratch.wide);
  const blocks = width / 32;
  const span = Math.min(blocks, Math.max(1, Math.floor(GATE_UP_BLOCKS / tokens)));
  const each = tokens * cols * 64;
  const most = span * Math.max(1, Math.floor(CALL_MULTIPLY_ADDS / (each * span)));
  for (let first = 0; first < blocks; first += most) {
    const count = Math.min(most, blocks - first);
    kernels.feedForward(
      at(mlp.gate),
      at(mlp.up),
      first,
      count,
      cols / 32,
      scratch.input,
      tokens,
      gateTable,
      gateJobs.length,
      upTable,
      upJobs.length,
      span,
      scratch.gateUp,
      scratch.unpacked,
      blocks,
      scratch.inner,
      panels16(mlp.gate),
      panels16(mlp.up),
    );
    yield count * each;
  }
  yield* linear(machine, mlp.down, "down", group, { at: scratch.inner, cols: width }, scratch.wide, shapes.hidden * 4);
  add(machine, tokens, mlp.bias);
}

function normalize({ kernels, scratch, shapes, at }: Machine, norm: Tensor, tokens: number): void {
  const { hidden, eps } = shapes;
  kernels.normalizeRows8(scratch.rows, tokens, at(norm), hidden, eps, scratch.row, scratch.input);
}
