// Lays quantized rows out as the WebAssembly kernels read them: eight rows interleaved, so that one 16-byte load serves four or eight
// rows and no sum ever crosses SIMD lanes. Bytes are moved, never changed, but for rows of zeros that fill the last eight.
import { fromHalf, halfAtLeast } from "../formats/half.ts";

const ROWS = 8;
const BLOCK = 32;
const Q4_BYTES = 20;
const Q8_BYTES = 34;

/**
 * @param data GGUF's Q4_1 blocks, row-major: fp16 scale, fp16 minimum, 16 bytes of nibbles (low ones: columns 0 to 15)
 * @returns for each eight rows and block: 8 scales, 8 minima, then 8 vectors of 16 bytes; byte 4r+c of vector i is column 4i+c of row r
 * in its low and of row 4+r in its high nibble
 */
export function packQ4(data: Uint8Array, rows: number, cols: number): Uint8Array {
  const blocks = cols / BLOCK;
  const groups = Math.ceil(rows / ROWS);
  const packed = new Uint8Array(groups * blocks * ROWS * Q4_BYTES);
  for (let row = 0; row < rows; row++) {
    const inGroup = row % ROWS;
    for (let block = 0; block < blocks; block++) {
      const from = (row * blocks + block) * Q4_BYTES;
      const to = (Math.floor(row / ROWS) * blocks + block) * ROWS * Q4_BYTES;
      packed.set(data.subarray(from, from + 2), to + 2 * inGroup);
      packed.set(data.subarray(from + 2, from + 4), to + 16 + 2 * inGroup);
      for (let col = 0; col < BLOCK; col++) {
        const pair = data[from + 4 + (col % 16)] as number;
        const value = col < 16 ? pair & 15 : pair >> 4;
        const at = to + 32 + (col >> 2) * 16 + (inGroup & 3) * 4 + (col & 3);
        packed[at] = (packed[at] as number) | (inGroup < 4 ? value : value << 4);
      }
    }
  }
  return packed;
}

/**
 * @param data GGUF's Q8_0 blocks, row-major: fp16 scale, 32 int8
 * @returns for each eight rows and block: 8 scales, then 16 vectors of 16 bytes; bytes 2r and 2r+1 of vector i are columns 2i and 2i+1 of row r
 */
export function packQ8(data: Uint8Array, rows: number, cols: number): Uint8Array {
  const blocks = cols / BLOCK;
  const groups = Math.ceil(rows / ROWS);
  const packed = new Uint8Array(groups * blocks * ROWS * Q8_BYTES);
  for (let row = 0; row < rows; row++) {
    const inGroup = row % ROWS;
    for (let block = 0; block < blocks; block++) {
      const from = (row * blocks + block) * Q8_BYTES;
      const to = (Math.floor(row / ROWS) * blocks + block) * ROWS * Q8_BYTES;
      packed.set(data.subarray(from, from + 2), to + 2 * inGroup);
      for (let col = 0; col < BLOCK; col++) {
        packed[to + 16 + (col >> 1) * 16 + inGroup * 2 + (col & 1)] = data[from + 2 + col] as number;
      }
    }
  }
  return packed;
}

/**
 * Rounds a matrix to Q8_0 blocks.
 * @param width columns to fill up to with zeros, a multiple of 32
 * @returns the blocks, row-major, and what their values must be multiplied by: a power of two that keeps scales within fp16
 */
export function quantizeQ8(
  values: Float32Array,
  rows: number,
  cols: number,
  width: number,
): { data: Uint8Array; factor: number } {
  const most = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  const factor = most > 0 && Number.isFinite(most) ? 2 ** (Math.floor(Math.log2(most)) - 7) : 1;
  const blocks = width / BLOCK;
  const data = new Uint8Array(rows * blocks * Q8_BYTES);
  const view = new DataView(data.buffer);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      const start = row * cols + block * BLOCK;
      const part = values.subarray(start, start + Math.max(0, Math.min(BLOCK, cols - block * BLOCK)));
      const largest = part.reduce((max, value) => Math.max(max, Math.abs(value)), 0) / factor;
      const bits = halfAtLeast(largest / 127);
      const scale = fromHalf(bits);
      const at = (row * blocks + block) * Q8_BYTES;
      view.setUint16(at, bits, true);
      for (let i = 0; i < part.length; i++) {
        view.setInt8(at + 2 + i, scale === 0 ? 0 : Math.round((part[i] as number) / factor / scale));
      }
    }
  }
  return { data, factor };
}
