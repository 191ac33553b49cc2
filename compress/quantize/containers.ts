// Quantized matrices as GGUF blocks. Codes of fewer bits travel in wider ones: the values are the same.

import { toHalf } from "../../formats/half.ts";
import type { ChangedTensor } from "../artifact.ts";
import { bitsPerWeight, type Quantized } from "./grid.ts";

const BLOCK = 32;

/**
 * As a tensor of the type that the engine multiplies with: Q4_1 for a decoder layer's linears, Q8_0 for the embedding and the head.
 * @throws RangeError when the codes or the offsets have no place in that type, or the columns do not fill blocks of 32
 */
export function toTensor(name: string, quantized: Quantized, type: "q4_1" | "q8_0"): ChangedTensor {
  const { rows, cols } = quantized;
  if (cols % BLOCK > 0) throw new RangeError(`${name} has ${cols} columns, which do not fill blocks of ${BLOCK}`);
  const data = type === "q4_1" ? toQ4(name, quantized) : toQ8(name, quantized);
  return { name, type, rows, cols, data, bits: bitsPerWeight(quantized) };
}

/** Per 32 columns: fp16 scale, fp16 minimum, 16 bytes of nibbles, low ones first. (ggml, `block_q4_1`) */
function toQ4(name: string, { rows, cols, bits, block, codes, scales, offsets }: Quantized): Uint8Array {
  if (bits > 4) throw new RangeError(`${name}: codes of ${bits} bits do not fit into Q4_1`);
  const blocks = cols / BLOCK;
  const groups = Math.ceil(cols / block);
  const data = new Uint8Array(rows * blocks * 20);
  const view = new DataView(data.buffer);
  for (let i = 0; i < rows * blocks; i++) {
    const row = Math.floor(i / blocks);
    const first = (i % blocks) * BLOCK;
    const group = row * groups + Math.floor(first / block);
    view.setUint16(i * 20, toHalf(scales[group] as number), true);
    view.setUint16(i * 20 + 2, toHalf(offsets[group] as number), true);
    const at = row * cols + first;
    for (let j = 0; j < 16; j++) {
      data[i * 20 + 4 + j] = (codes[at + j] as number) | ((codes[at + 16 + j] as number) << 4);
    }
  }
  return data;
}

/** Per 32 columns: fp16 scale, 32 int8. (ggml, `block_q8_0`) */
function toQ8(name: string, { rows, cols, block, codes, scales, offsets }: Quantized): Uint8Array {
  const blocks = cols / BLOCK;
  const groups = Math.ceil(cols / block);
  const data = new Uint8Array(rows * blocks * 34);
  const view = new DataView(data.buffer);
  for (let i = 0; i < rows * blocks; i++) {
    const row = Math.floor(i / blocks);
    const first = (i % blocks) * BLOCK;
    const group = row * groups + Math.floor(first / block);
    const scale = scales[group] as number;
    const zero = scale === 0 ? 0 : -(offsets[group] as number) / scale;
    if (!Number.isInteger(zero) || (scale === 0 && offsets[group] !== 0)) {
      throw new RangeError(`${name}: a minimum that is no multiple of the scale has no place in Q8_0`);
    }
    view.setUint16(i * 34, toHalf(scale), true);
    const at = row * cols + first;
    for (let j = 0; j < BLOCK; j++) view.setInt8(i * 34 + 2 + j, (codes[at + j] as number) - zero);
  }
  return data;
}
