// Plain slices of GGUF's Q4_1 matrices, as structured pruning makes them.

import type { CheckpointTensor } from "../../build/checkpoint.ts";
import type { ChangedTensor } from "../../compress/artifact.ts";

const BLOCK = 32;
const BLOCK_BYTES = 20;

/** The first rows. */
export function firstRows(tensor: CheckpointTensor, rows: number): ChangedTensor {
  const { name, type, cols, data } = tensor;
  return { name, type, rows, cols, data: data.slice(0, (data.length / tensor.rows) * rows) };
}

/** The first columns, in whole blocks. */
export function firstCols(tensor: CheckpointTensor, cols: number): ChangedTensor {
  const { name, type, rows, data } = tensor;
  const [from, to] = [(tensor.cols / BLOCK) * BLOCK_BYTES, (cols / BLOCK) * BLOCK_BYTES];
  const cut = new Uint8Array(rows * to);
  for (let row = 0; row < rows; row++) cut.set(data.subarray(row * from, row * from + to), row * to);
  return { name, type, rows, cols, data: cut };
}

export const zeroBias = (name: string, cols: number): ChangedTensor => ({
  name,
  type: "f32",
  rows: 1,
  cols,
  data: new Uint8Array(4 * cols),
});
