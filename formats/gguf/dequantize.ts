// Values of GGUF's formats in fp32. (ggml, src/ggml-quants.c, `dequantize_row_*`)

import { fromBfloat, halfTable } from "../half.ts";
import { BLOCKS, type BlockType } from "./header.ts";

/** Reads a block at `at` into `values` from `to` on. */
type ReadBlock = (view: DataView, at: number, values: Float32Array, to: number) => void;

const half = (view: DataView, at: number): number => halfTable()[view.getUint16(at, true)] as number;

const READERS: Record<BlockType, ReadBlock> = {
  f32: (view, at, values, to) => {
    values[to] = view.getFloat32(at, true);
  },
  f16: (view, at, values, to) => {
    values[to] = half(view, at);
  },
  bf16: (view, at, values, to) => {
    values[to] = fromBfloat(view.getUint16(at, true));
  },
  q8_0: (view, at, values, to) => {
    const scale = half(view, at);
    for (let i = 0; i < 32; i++) values[to + i] = scale * view.getInt8(at + 2 + i);
  },
  q4_0: (view, at, values, to) => {
    const scale = half(view, at);
    for (let i = 0; i < 16; i++) {
      const pair = view.getUint8(at + 2 + i);
      values[to + i] = scale * ((pair & 15) - 8);
      values[to + 16 + i] = scale * ((pair >> 4) - 8);
    }
  },
  q4_1: (view, at, values, to) => {
    const scale = half(view, at);
    const minimum = half(view, at + 2);
    for (let i = 0; i < 16; i++) {
      const pair = view.getUint8(at + 4 + i);
      values[to + i] = scale * (pair & 15) + minimum;
      values[to + 16 + i] = scale * (pair >> 4) + minimum;
    }
  },
  /** Eight groups of 32 with 6-bit scales and minima: those of the last four are split over the twelve bytes. */
  q4_k: (view, at, values, to) => {
    const scale = half(view, at);
    const minimum = half(view, at + 2);
    const byte = (i: number): number => view.getUint8(at + 4 + i);
    for (let group = 0; group < 8; group++) {
      const late = group >= 4;
      const groupScale = late ? (byte(group + 4) & 15) | ((byte(group - 4) >> 6) << 4) : byte(group) & 63;
      const groupMinimum = late ? (byte(group + 4) >> 4) | ((byte(group) >> 6) << 4) : byte(group + 4) & 63;
      const from = at + 16 + 32 * (group >> 1);
      const shift = group % 2 === 0 ? 0 : 4;
      for (let i = 0; i < 32; i++) {
        const code = (view.getUint8(from + i) >> shift) & 15;
        values[to + 32 * group + i] = scale * groupScale * code - minimum * groupMinimum;
      }
    }
  },
  /** Two halves of 128: four low bits in 64 bytes, two high ones in 32, an 8-bit scale for each 16. */
  q6_k: (view, at, values, to) => {
    const scale = half(view, at + 208);
    for (let i = 0; i < 256; i++) {
      const [part, within] = [i >> 7, i & 127];
      const quarter = within >> 5;
      const low = (view.getUint8(at + 64 * part + (within & 63)) >> (quarter >= 2 ? 4 : 0)) & 15;
      const high = (view.getUint8(at + 128 + 32 * part + (within & 31)) >> (2 * quarter)) & 3;
      values[to + i] = scale * view.getInt8(at + 192 + (i >> 4)) * ((low | (high << 4)) - 32);
    }
  },
};

/** @param data whole blocks, row-major */
export function dequantizeBlocks(type: BlockType, data: Uint8Array): Float32Array {
  const { values: width, bytes } = BLOCKS[type];
  const count = data.length / bytes;
  const values = new Float32Array(count * width);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const read = READERS[type];
  for (let block = 0; block < count; block++) read(view, block * bytes, values, block * width);
  return values;
}
