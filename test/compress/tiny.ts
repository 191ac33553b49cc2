// LLaMA checkpoints small enough for a test: random weights of any shape, and the same decoder in plain code, in double precision.
import type { Checkpoint, LayerShape, Matrix, ModelShape, StoredTensor } from "../../formats/checkpoint.ts";
import { asPyTorch, frequencies } from "../../src/engine/rope.ts";
import type { Slot } from "../../src/variants/recipe.ts";
import { random } from "../engine/onnx/tiny.ts";

export const tinyShape: ModelShape = {
  hidden: 48,
  headDim: 16,
  vocab: 96,
  contextLength: 64,
  ropeTheta: 10_000,
  ropeScaling: undefined,
  rmsEps: 1e-5,
  layers: Array.from({ length: 4 }, () => ({ heads: 4, kvHeads: 2, ffn: 80 })),
};

export interface TinyOptions {
  readonly shape?: ModelShape;
  readonly seed?: number;
  /** Biases on o and down. */
  readonly bias?: boolean;
  /** An output head of its own. */
  readonly untied?: boolean;
  /** Values of its matrices and norms, in place of random ones. */
  readonly fill?: (name: string, count: number) => Float32Array;
}

export function tinyCheckpoint({
  shape = tinyShape,
  seed = 1,
  bias = false,
  untied = false,
  fill,
}: TinyOptions = {}): Checkpoint {
  const { hidden, headDim, vocab } = shape;
  const next = random(seed);
  const matrices = new Map<string, Matrix>();
  const add = (name: string, rows: number, cols: number, around = 0, size = 4 / Math.sqrt(cols)) =>
    matrices.set(name, {
      rows,
      cols,
      values: fill?.(name, rows * cols) ?? Float32Array.from({ length: rows * cols }, () => around + size * next()),
    });
  const linear = (layer: number, name: string, rows: number, cols: number) =>
    add(`blk.${layer}.${name}.weight`, rows, cols);
  const norm = (name: string) => add(name, 1, hidden, 1, 1);
  add("token_embd.weight", vocab, hidden);
  norm("output_norm.weight");
  if (untied) add("output.weight", vocab, hidden);
  for (const [layer, { heads, kvHeads, ffn }] of shape.layers.entries()) {
    if (heads > 0) {
      norm(`blk.${layer}.attn_norm.weight`);
      linear(layer, "attn_q", heads * headDim, hidden);
      linear(layer, "attn_k", kvHeads * headDim, hidden);
      linear(layer, "attn_v", kvHeads * headDim, hidden);
      linear(layer, "attn_output", hidden, heads * headDim);
      if (bias) add(`blk.${layer}.attn_output.bias`, 1, hidden, 0, 1);
    }
    if (ffn > 0) {
      norm(`blk.${layer}.ffn_norm.weight`);
      linear(layer, "ffn_gate", ffn, hidden);
      linear(layer, "ffn_up", ffn, hidden);
      linear(layer, "ffn_down", hidden, ffn);
      if (bias) add(`blk.${layer}.ffn_down.bias`, 1, hidden, 0, 1);
    }
  }
  const tensors = new Map(
    [...matrices].map(([name, { rows, cols }]): [string, StoredTensor] => [name, { name, type: "f32", rows, cols }]),
  );
  return {
    name: "tiny",
    digest: `tiny-${seed}`,
    shape,
    tensors,
    tokenizer: { kind: "files", files: new Map() },
    async read(name) {
      const found = matrices.get(name);
      if (!found) throw new Error(`no ${name}`);
      return found;
    },
    readStored: async (name) => new Uint8Array(matrices.get(name)!.values.buffer),
    close: async () => {},
  };
}

export type Rows = readonly (readonly number[])[];

/** What the states are around a slot's sublayers, and what goes into its linears. */
export interface SlotTrace {
  readonly before: Rows;
  readonly afterAttention: Rows;
  readonly after: Rows;
  readonly inputs: { readonly qkv: Rows; readonly o: Rows; readonly gateUp: Rows; readonly down: Rows };
}

export interface Trace {
  readonly slots: readonly SlotTrace[];
  /** Negative log-likelihoods of the tokens from the second on. */
  readonly nll: readonly number[];
}

/** One sequence through a decoder as its definition reads. */
export async function trace(checkpoint: Checkpoint, slots: readonly Slot[], ids: readonly number[]): Promise<Trace> {
  const { shape } = checkpoint;
  const { hidden, headDim, rmsEps } = shape;
  const turns = frequencies(shape, asPyTorch);
  const matrix = (name: string) => checkpoint.read(name);
  const of = (layer: number, name: string) => matrix(`blk.${layer}.${name}.weight`);
  const biasOf = async (layer: number, name: string) =>
    checkpoint.tensors.has(`blk.${layer}.${name}.bias`) ? (await matrix(`blk.${layer}.${name}.bias`)).values : [];
  const table = await matrix("token_embd.weight");
  let x: Rows = ids.map((id) => [...table.values.subarray(id * hidden, (id + 1) * hidden)]);
  const traces: SlotTrace[] = [];
  for (const { layer, attn, mlp } of slots) {
    const { heads, kvHeads, ffn } = shape.layers[layer] as LayerShape;
    const before = x;
    let qkv: Rows = [];
    let mixed: Rows = [];
    if (attn && heads > 0) {
      qkv = normed(x, await of(layer, "attn_norm"), rmsEps);
      const q = rotate(times(qkv, await of(layer, "attn_q")), headDim, turns);
      const k = rotate(times(qkv, await of(layer, "attn_k")), headDim, turns);
      const v = times(qkv, await of(layer, "attn_v"));
      mixed = attend(q, k, v, { heads, kvHeads, headDim });
      x = plus(x, times(mixed, await of(layer, "attn_output")), await biasOf(layer, "attn_output"));
    }
    const afterAttention = x;
    let gateUp: Rows = [];
    let down: Rows = [];
    if (mlp && ffn > 0) {
      gateUp = normed(x, await of(layer, "ffn_norm"), rmsEps);
      const up = times(gateUp, await of(layer, "ffn_up"));
      down = times(gateUp, await of(layer, "ffn_gate")).map((row, i) =>
        row.map((gate, j) => (gate / (1 + Math.exp(-gate))) * up[i]![j]!),
      );
      x = plus(x, times(down, await of(layer, "ffn_down")), await biasOf(layer, "ffn_down"));
    }
    traces.push({ before, afterAttention, after: x, inputs: { qkv, o: mixed, gateUp, down } });
  }
  const head = await matrix(checkpoint.tensors.has("output.weight") ? "output.weight" : "token_embd.weight");
  const logits = times(normed(x, await matrix("output_norm.weight"), rmsEps), head);
  const nll = ids.slice(1).map((id, i) => {
    const row = logits[i]!;
    return Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0)) - row[id]!;
  });
  return { slots: traces, nll };
}

const times = (x: Rows, { rows, cols, values }: Matrix): Rows =>
  x.map((row) =>
    Array.from({ length: rows }, (_, out) =>
      row.reduce((sum, value, col) => sum + value * values[out * cols + col]!, 0),
    ),
  );

const normed = (x: Rows, gain: Matrix, eps: number): Rows =>
  x.map((row) => {
    const scale = 1 / Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / row.length + eps);
    return row.map((value, i) => value * scale * gain.values[i]!);
  });

const plus = (x: Rows, y: Rows, bias: ArrayLike<number>): Rows =>
  x.map((row, i) => row.map((value, j) => value + y[i]![j]! + (bias[j] ?? 0)));

const rotate = (x: Rows, headDim: number, turns: ArrayLike<number>): Rows =>
  x.map((row, position) =>
    row.map((value, i) => {
      const inHead = i % headDim;
      const half = headDim / 2;
      const angle = position * turns[inHead % half]!;
      return value * Math.cos(angle) + (inHead < half ? -row[i + half]! : row[i - half]!) * Math.sin(angle);
    }),
  );

function attend(
  q: Rows,
  k: Rows,
  v: Rows,
  { heads, kvHeads, headDim }: Record<"heads" | "kvHeads" | "headDim", number>,
): Rows {
  return q.map((query, position) => {
    const mixed: number[] = [];
    for (let head = 0; head < heads; head++) {
      const from = Math.floor((head * kvHeads) / heads) * headDim;
      const dims = Array.from({ length: headDim }, (_, i) => i);
      const scores = k
        .slice(0, position + 1)
        .map((key) =>
          Math.exp(dims.reduce((sum, i) => sum + query[head * headDim + i]! * key[from + i]!, 0) / Math.sqrt(headDim)),
        );
      const total = scores.reduce((a, b) => a + b, 0);
      for (const i of dims) mixed.push(scores.reduce((sum, score, at) => sum + (score / total) * v[at]![from + i]!, 0));
    }
    return mixed;
  });
}
