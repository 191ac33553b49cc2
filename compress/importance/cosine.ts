// Cosine similarity of hidden states, token by token. Plain code in fp64: onnxruntime's reductions take three times as long.
import type { Hidden } from "../forward/forward.ts";

/** Lengths below count as this, as in PyTorch's cosine_similarity. */
const LEAST_LENGTH = 1e-8;

/** Cosine of the angle between two rows `[hidden]` that begin at `from`. */
export function cosineAt(a: Float32Array, b: Float32Array, from: number, hidden: number): number {
  let dot = 0;
  let aa = 0;
  let bb = 0;
  for (let i = from; i < from + hidden; i++) {
    const x = a[i] as number;
    const y = b[i] as number;
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  return dot / Math.max(Math.sqrt(aa * bb), LEAST_LENGTH);
}

/** One for each token, `[sequences, length]`. */
export function rowCosines(a: Hidden, b: Hidden): Float64Array {
  const rows = a.sequences * a.length;
  const hidden = a.values.length / rows;
  return Float64Array.from({ length: rows }, (_, row) => cosineAt(a.values, b.values, row * hidden, hidden));
}
