// A LLaMA model small enough for a test: random weights, the base and image that the engine loads, and the same decoder in plain code.
import { createHash } from "node:crypto";
import { mulberry32 } from "../../../evaluation/random.ts";
import { dequantize, type OpenFile } from "../../../src/engine/weights.ts";
import type { BaseModel, BuiltFile, ModelConfig, Tensor } from "../../../src/variants/base.ts";
import type { Plan } from "../../../src/variants/plan.ts";
import { tinyBase, tinyConfig } from "../../support/base.ts";

export const config: ModelConfig = { ...tinyConfig, heads: 4, kvHeads: 2, headDim: 16 };

export interface Tiny {
  readonly base: BaseModel;
  readonly image: Uint8Array;
  readonly open: OpenFile;
}

/** A file as the build makes it, and what opens it. */
export function built(bytes: Uint8Array): { file: BuiltFile; open: OpenFile } {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const file = { file: `${sha256}.bin`, sha256, bytes: bytes.length };
  return { file, open: async (wanted) => (wanted.file === file.file ? streamOf(bytes) : undefined) };
}

const streamOf = (bytes: Uint8Array): ReadableStream<Uint8Array> =>
  new Response(bytes as BodyInit).body as ReadableStream<Uint8Array>;

/** Numbers from a seed, -0.5 to 0.5. */
export function random(seed: number): () => number {
  const uniform = mulberry32(seed);
  return () => uniform() - 0.5;
}

/** @param prune whether its second layer is narrower than the others and has biases */
export function makeTiny(prune = false): Tiny {
  const shapes = prune ? pruned(tinyBase(config)) : tinyBase(config);
  const image = new Uint8Array(shapes.imageBytes);
  const next = random(1);
  for (const { rows, cols, offset } of shapes.tensors) {
    // Norms about 1, weights such that activations keep their size.
    const values = new Float32Array(image.buffer, offset, rows * cols);
    for (let i = 0; i < values.length; i++) values[i] = rows === 1 ? 1 + next() : (4 * next()) / Math.sqrt(cols);
  }
  // One token is all zeros, which no row scale may turn into NaN.
  const embedding = shapes.tensors[0] as Tensor;
  new Float32Array(image.buffer, embedding.offset, config.hidden).fill(0);
  const { file, open } = built(image);
  return { base: { ...shapes, parts: [file] }, image, open };
}

/** One KV head of two with its queries, 64 of 96 channels of the MLP, and biases. */
function pruned(base: BaseModel): BaseModel {
  const layer = "blk.1.";
  const halves = { attn_q: [32, 64], attn_k: [16, 64], attn_v: [16, 64], attn_output: [64, 32] };
  const cuts: Record<string, number[]> = { ...halves, ffn_gate: [64, 64], ffn_up: [64, 64], ffn_down: [64, 64] };
  const bias = (name: string): Tensor => ({ ...(base.tensors[1] as Tensor), name: `${layer}${name}.bias` });
  let end = 0;
  const tensors = [...base.tensors, bias("attn_output"), bias("ffn_down")].map((tensor): Tensor => {
    const cut = tensor.name.endsWith(".weight") && cuts[tensor.name.slice(layer.length, -".weight".length)];
    const [rows, cols] = cut && tensor.name.startsWith(layer) ? (cut as [number, number]) : [tensor.rows, tensor.cols];
    const offset = end;
    end += rows * cols * 4;
    return { ...tensor, rows, cols, offset, bytes: rows * cols * 4 };
  });
  return { ...base, digest: "pruned", tensors, imageBytes: end };
}

/** Logits after each token: a LLaMA decoder as its definition reads, in double precision, without cache or batch. */
export function referenceLogits(plan: Plan, image: Uint8Array, tokens: readonly number[]): number[][] {
  const { hidden, headDim, ropeTheta, rmsEps } = plan.base.config;
  const values = (tensor: Tensor) => dequantize(tensor, image);
  const multiply = (tensor: Tensor, x: readonly number[]): number[] => {
    const weight = values(tensor);
    return Array.from({ length: tensor.rows }, (_, row) =>
      x.reduce((sum, value, col) => sum + value * (weight[row * tensor.cols + col] as number), 0),
    );
  };
  const norm = (tensor: Tensor, x: readonly number[]): number[] => {
    const gain = values(tensor);
    const scale = 1 / Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / hidden + rmsEps);
    return x.map((value, i) => value * scale * (gain[i] as number));
  };
  const add = (a: readonly number[], b: readonly number[]): number[] => a.map((value, i) => value + (b[i] as number));
  const plus = (a: readonly number[], bias: Tensor | undefined): number[] =>
    add(a, bias ? [...values(bias)] : a.map(() => 0));
  const rotate = (x: readonly number[], position: number): number[] =>
    x.map((value, i) => {
      const inHead = i % headDim;
      const half = headDim / 2;
      const angle = position / ropeTheta ** ((inHead % half) / half);
      const other = inHead < half ? -(x[i + half] as number) : (x[i - half] as number);
      return value * Math.cos(angle) + other * Math.sin(angle);
    });

  const table = values(plan.embedding);
  let rows = tokens.map((token) => Array.from(table.subarray(token * hidden, (token + 1) * hidden)));
  for (const { attn, mlp } of plan.slots) {
    if (attn) {
      const [heads, kvHeads] = [attn.q.rows / headDim, attn.k.rows / headDim];
      const normed = rows.map((row) => norm(attn.norm, row));
      const q = normed.map((row, position) => rotate(multiply(attn.q, row), position));
      const k = normed.map((row, position) => rotate(multiply(attn.k, row), position));
      const v = normed.map((row) => multiply(attn.v, row));
      rows = rows.map((row, position) => {
        const mixed: number[] = [];
        for (let head = 0; head < heads; head++) {
          const from = Math.floor((head * kvHeads) / heads) * headDim;
          const dims = Array.from({ length: headDim }, (_, i) => i);
          const scores = k.slice(0, position + 1).map((key) => {
            const dot = dims.reduce(
              (sum, i) => sum + (q[position]?.[head * headDim + i] as number) * (key[from + i] as number),
              0,
            );
            return Math.exp(dot / Math.sqrt(headDim));
          });
          const total = scores.reduce((a, b) => a + b, 0);
          for (const i of dims) {
            mixed.push(scores.reduce((sum, score, at) => sum + (score / total) * (v[at]?.[from + i] as number), 0));
          }
        }
        return plus(add(row, multiply(attn.o, mixed)), attn.bias);
      });
    }
    if (mlp) {
      rows = rows.map((row) => {
        const normed = norm(mlp.norm, row);
        const up = multiply(mlp.up, normed);
        const inner = multiply(mlp.gate, normed).map((gate, i) => (gate / (1 + Math.exp(-gate))) * (up[i] as number));
        return plus(add(row, multiply(mlp.down, inner)), mlp.bias);
      });
    }
  }
  return rows.map((row) => multiply(plan.head, norm(plan.outputNorm, row)));
}
