// Token embeddings, looked up in JavaScript: a graph would copy its whole table to read a few rows of it.
import type { Mode } from "./linear.ts";

export interface Embedding {
  readonly bytes: number;
  /** Rows of the tokens, fp32 `[tokens, hidden]`. */
  lookUp(tokens: readonly number[]): Float32Array;
}

/** Columns that share a scale: as many as in the checkpoint's own blocks, so that its 8 bits are kept as they are. */
const BLOCK = 32;

/** @param table fp32 `[vocab, hidden]`; in int8 mode it is kept as 8 bits with a scale for every 32 columns */
export function createEmbedding(table: Float32Array, hidden: number, mode: Mode): Embedding {
  const lookUp = (read: (index: number) => number) => (tokens: readonly number[]) => {
    const rows = new Float32Array(tokens.length * hidden);
    tokens.forEach((token, i) => {
      for (let j = 0; j < hidden; j++) rows[i * hidden + j] = read(token * hidden + j);
    });
    return rows;
  };
  if (mode === "fp32") return { bytes: table.byteLength, lookUp: lookUp((index) => table[index] as number) };
  const { quantized, scales } = quantizeBlocks(table);
  return {
    bytes: quantized.byteLength + scales.byteLength,
    lookUp: lookUp((index) => (scales[Math.floor(index / BLOCK)] as number) * (quantized[index] as number)),
  };
}

function quantizeBlocks(table: Float32Array): { quantized: Int8Array; scales: Float32Array } {
  const quantized = new Int8Array(table.length);
  const scales = new Float32Array(Math.ceil(table.length / BLOCK));
  for (let block = 0; block < scales.length; block++) {
    const start = block * BLOCK;
    const end = Math.min(start + BLOCK, table.length);
    let largest = 0;
    for (let i = start; i < end; i++) largest = Math.max(largest, Math.abs(table[i] as number));
    scales[block] = largest / 127;
    const inverse = largest === 0 ? 0 : 127 / largest;
    for (let i = start; i < end; i++) quantized[i] = Math.round((table[i] as number) * inverse);
  }
  return { quantized, scales };
}
