// The forward pass as plain as it gets, in double precision, over a plan's dequantized weights: what the kernels are held against.
import { asPyTorch, frequencies } from "../../../src/engine/rope.ts";
import { dequantize } from "../../../src/engine/weights.ts";
import type { Tensor } from "../../../src/variants/base.ts";
import type { Linear } from "../../../src/variants/layer-tensors.ts";
import type { Plan } from "../../../src/variants/plan.ts";

type Vector = Float64Array<ArrayBuffer>;

export interface ReferenceOptions {
  /** What a linear makes of its input before the product; the kernels round it to 8 bits by blocks of 32. */
  readonly activations?: (values: Vector) => Vector;
  /** What the head makes of its input. */
  readonly headActivations?: (values: Vector) => Vector;
  /** What the KV cache keeps of one head's K or V. */
  readonly cache?: (values: Vector) => Vector;
  /** Added to a linear's output for an input. */
  readonly adapt?: (slot: number, linear: Linear, input: Vector, output: Vector) => void;
}

const same = (values: Vector): Vector => values;

/** Rounds to integers of -range … range by blocks, each with its own scale. */
export const rounding =
  (range: number, block: number) =>
  (values: Vector): Vector => {
    const rounded = new Float64Array(values.length);
    for (let start = 0; start < values.length; start += block) {
      const part = values.subarray(start, start + block);
      const scale = Math.max(...part.map(Math.abs)) / range;
      for (let i = 0; i < part.length; i++) {
        rounded[start + i] = scale === 0 ? 0 : Math.round((part[i] as number) / scale) * scale;
      }
    }
    return rounded;
  };

/** A positive number rounded up to the upper half of its fp32 bits. */
function upToBfloat(value: number): number {
  const float = Float32Array.of(value);
  const bits = new Uint32Array(float.buffer);
  bits[0] = (((bits[0] as number) + 0xffff) & 0xffff0000) >>> 0;
  return float[0] as number;
}

/** Rounds as the kernels do: activations to 8 bits, the head's to 16, K and V of a head to 8 bits with a bf16 scale. */
export const asKernels: ReferenceOptions = {
  activations: rounding(127, 32),
  headActivations: rounding(32767, 32),
  cache: (values) => {
    const scale = upToBfloat(Math.max(...values.map(Math.abs)) / 127);
    return scale === 0 ? values : values.map((value) => Math.round(value / scale) * scale);
  },
};

/**
 * Logits after each token, `[tokens][vocab]`.
 * @param image the weight image
 */
export function reference(plan: Plan, image: Uint8Array, tokens: readonly number[], options: ReferenceOptions = {}) {
  const { activations = same, headActivations = same, cache = same, adapt } = options;
  const { config } = plan.base;
  const { headDim, hidden } = config;
  const weights = new Map<number, Float32Array>();
  const valuesOf = (tensor: Tensor): Float32Array => {
    const known = weights.get(tensor.offset) ?? dequantize(tensor, image);
    weights.set(tensor.offset, known);
    return known;
  };
  const multiply = (tensor: Tensor, x: Vector): Vector => {
    const w = valuesOf(tensor);
    const y = new Float64Array(tensor.rows);
    for (let row = 0; row < tensor.rows; row++) {
      let sum = 0;
      for (let col = 0; col < tensor.cols; col++) sum += (w[row * tensor.cols + col] as number) * (x[col] as number);
      y[row] = sum;
    }
    return y;
  };
  const norm = (tensor: Tensor, x: Vector): Vector => {
    const w = valuesOf(tensor);
    const factor = 1 / Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / x.length + config.rmsEps);
    return x.map((value, i) => value * factor * (w[i] as number));
  };
  const turns = frequencies(config, asPyTorch);
  const rotate = (x: Vector, position: number): void => {
    const half = headDim / 2;
    for (let head = 0; head < x.length; head += headDim) {
      for (let i = 0; i < half; i++) {
        const angle = Math.fround((turns[i] as number) * position);
        const a = x[head + i] as number;
        const b = x[head + half + i] as number;
        x[head + i] = a * Math.cos(angle) - b * Math.sin(angle);
        x[head + half + i] = b * Math.cos(angle) + a * Math.sin(angle);
      }
    }
  };
  const byHead = (x: Vector): Vector[] =>
    Array.from({ length: x.length / headDim }, (_, head) => cache(x.slice(head * headDim, (head + 1) * headDim)));

  const keys = new Map<number, Vector[][]>();
  const values = new Map<number, Vector[][]>();
  return tokens.map((token, position) => {
    const table = valuesOf(plan.embedding);
    const x = Float64Array.from(table.subarray(token * hidden, (token + 1) * hidden));
    const add = (y: Vector): void => {
      for (const [i, value] of y.entries()) x[i] = (x[i] as number) + value;
    };
    for (const [index, { attn, mlp }] of plan.slots.entries()) {
      const linear = (tensor: Tensor, name: Linear, input: Vector): Vector => {
        const y = multiply(tensor, input);
        adapt?.(index, name, input, y);
        return y;
      };
      if (attn) {
        const input = activations(norm(attn.norm, x));
        const q = linear(attn.q, "q", input);
        const k = linear(attn.k, "k", input);
        const v = linear(attn.v, "v", input);
        rotate(q, position);
        rotate(k, position);
        const slotKeys = keys.get(index) ?? [];
        const slotValues = values.get(index) ?? [];
        keys.set(index, slotKeys);
        values.set(index, slotValues);
        slotKeys.push(byHead(k));
        slotValues.push(byHead(v));
        const mixed = new Float64Array(q.length);
        const heads = q.length / headDim;
        for (let head = 0; head < heads; head++) {
          const kvHead = Math.floor(head / (heads / (k.length / headDim)));
          const scores = slotKeys.map((past) => {
            const key = past[kvHead] as Vector;
            return key.reduce((sum, value, i) => sum + value * (q[head * headDim + i] as number), 0);
          });
          const scaled = scores.map((score) => score / Math.sqrt(headDim));
          const most = Math.max(...scaled);
          const powers = scaled.map((score) => Math.exp(score - most));
          const total = powers.reduce((sum, power) => sum + power, 0);
          for (const [past, power] of powers.entries()) {
            const value = (slotValues[past] as Vector[])[kvHead] as Vector;
            for (let i = 0; i < headDim; i++) {
              const at = head * headDim + i;
              mixed[at] = (mixed[at] as number) + (power / total) * (value[i] as number);
            }
          }
        }
        add(linear(attn.o, "o", activations(mixed)));
        if (attn.bias) add(Float64Array.from(valuesOf(attn.bias)));
      }
      if (mlp) {
        const input = activations(norm(mlp.norm, x));
        const gate = linear(mlp.gate, "gate", input);
        const up = linear(mlp.up, "up", input);
        const inner = gate.map((value, i) => (value / (1 + Math.exp(-value))) * (up[i] as number));
        add(linear(mlp.down, "down", activations(inner)));
        if (mlp.bias) add(Float64Array.from(valuesOf(mlp.bias)));
      }
    }
    return multiply(plan.head, headActivations(norm(plan.outputNorm, x)));
  });
}
