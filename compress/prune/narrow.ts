// Cuts a layer down to the groups and channels that stay. Rows, and columns in whole blocks, are carried over as they are stored.

import type { Matrix } from "../../formats/checkpoint.ts";
import type { ChangedTensor } from "../artifact.ts";
import type { Moments } from "../moments.ts";

/** The rows in `kept` of a tensor as it is stored, `rowBytes` each. */
export function pickStoredRows(data: Uint8Array, rowBytes: number, kept: readonly number[]): Uint8Array {
  const out = new Uint8Array(kept.length * rowBytes);
  for (const [to, from] of kept.entries())
    out.set(data.subarray(from * rowBytes, (from + 1) * rowBytes), to * rowBytes);
  return out;
}

const BLOCK = 32;

/**
 * The columns in `kept` of a tensor as it is stored, where they are whole blocks of 32; else undefined.
 * @param blockBytes bytes of a block
 */
export function pickStoredBlocks(
  data: Uint8Array,
  cols: number,
  blockBytes: number,
  kept: readonly number[],
): Uint8Array | undefined {
  const whole = kept.every(
    (col, i) => col % BLOCK === i % BLOCK && col - i === (kept[i - (i % BLOCK)] ?? 0) - (i - (i % BLOCK)),
  );
  if (!whole || kept.length % BLOCK > 0) return undefined;
  const [before, after] = [cols / BLOCK, kept.length / BLOCK];
  const rows = data.length / (before * blockBytes);
  const out = new Uint8Array(rows * after * blockBytes);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < after; block++) {
      const from = (row * before + (kept[block * BLOCK] as number) / BLOCK) * blockBytes;
      out.set(data.subarray(from, from + blockBytes), (row * after + block) * blockBytes);
    }
  }
  return out;
}

/** The columns in `kept`. */
export function pickColumns({ rows, cols, values }: Matrix, kept: readonly number[]): Matrix {
  const out = new Float32Array(rows * kept.length);
  for (let row = 0; row < rows; row++) {
    for (const [to, from] of kept.entries()) out[row * kept.length + to] = values[row * cols + from] as number;
  }
  return { rows, cols: kept.length, values: out };
}

/** Rows (or columns of o) of the groups that stay, when each group has `width` of them. */
export const groupIndices = (groups: readonly number[], width: number): number[] =>
  groups.flatMap((group) => Array.from({ length: width }, (_, i) => group * width + i));

/**
 * What the columns that go add on average, `[1, rows]`: W times the mean of their inputs (FLAP, arXiv 2312.11983).
 * @param before a bias that is there already
 */
export function baselineBias(
  name: string,
  { rows, cols, values }: Matrix,
  { tokens, sum }: Moments,
  kept: readonly number[],
  before: Matrix | undefined,
): ChangedTensor {
  const stays = new Set(kept);
  const gone = Array.from({ length: cols }, (_, col) => col).filter((col) => !stays.has(col));
  const bias = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    let total = before?.values[row] ?? 0;
    for (const col of gone) total += ((values[row * cols + col] as number) * (sum[col] as number)) / tokens;
    bias[row] = total;
  }
  return { name, type: "f32", rows: 1, cols: rows, data: new Uint8Array(bias.buffer) };
}
