// The grids that weights are rounded to, and how a block's grid is found. A grid is exactly what its block of GGUF can say: scales and
// offsets are half-precision numbers before anything is rounded to them.

import { fromHalf, toHalf } from "../../formats/half.ts";

export type Bits = 2 | 3 | 4 | 8;

/**
 * - `symmetric`: scale * (code - 2^(bits-1)), scale from the largest magnitude, as in GPTQ's reference (`Quantizer.find_params`)
 * - `asymmetric`: scale * code + minimum
 * - `integer-zero`: scale * (code - zero), so that 0 is exact, as masks need it
 */
export type GridKind = "symmetric" | "asymmetric" | "integer-zero";

export interface GridOptions {
  readonly bits: Bits;
  readonly kind: GridKind;
  /** Columns that share a grid. */
  readonly block: 32 | 64;
}

/** Values are `scale * code + offset` for codes of 0 to `most`. */
export interface Grid {
  readonly scale: number;
  readonly offset: number;
  readonly most: number;
}

/** `codes` is `[rows, cols]`, `scales` and `offsets` `[rows, cols / block]`. */
export interface Quantized extends GridOptions {
  readonly rows: number;
  readonly cols: number;
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
  readonly offsets: Float32Array;
}

/** Significant bits of a scale whose products with zero points of 4 bits are exact in half precision, which has 11. */
const COARSE_BITS = 7;

/**
 * Grid of the `count` values that begin at `start`.
 * @throws RangeError when they are beyond half precision
 */
export function findGrid(values: Float32Array, start: number, count: number, { bits, kind }: GridOptions): Grid {
  const most = 2 ** bits - 1;
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = start; i < start + count; i++) {
    const value = values[i] as number;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (kind === "asymmetric") {
    const scale = half((high - low) / most);
    return { scale, offset: half(low), most };
  }
  if (kind === "integer-zero") {
    low = Math.min(low, 0);
    high = Math.max(high, 0);
    const scale = coarse((high - low) / most);
    const zero = scale === 0 ? 0 : Math.min(most, Math.round(-low / scale));
    return { scale, offset: zero === 0 ? 0 : -scale * zero, most };
  }
  const largest = Math.max(Math.abs(low), Math.abs(high));
  const scale = half((2 * largest) / most);
  return { scale, offset: -scale * 2 ** (bits - 1) || 0, most };
}

/** Code of the grid's value that is nearest. */
export function roundTo({ scale, offset, most }: Grid, value: number): number {
  if (scale === 0) return 0;
  const code = Math.round((value - offset) / scale);
  return code < 0 ? 0 : code > most ? most : code;
}

export function emptyQuantized(rows: number, cols: number, options: GridOptions): Quantized {
  const groups = rows * Math.ceil(cols / options.block);
  return {
    ...options,
    rows,
    cols,
    codes: new Uint8Array(rows * cols),
    scales: new Float32Array(groups),
    offsets: new Float32Array(groups),
  };
}

/** fp32 `[rows, cols]`: what an engine computes with. */
export function dequantize({ rows, cols, block, codes, scales, offsets }: Quantized): Float32Array {
  const values = new Float32Array(rows * cols);
  const groups = Math.ceil(cols / block);
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) {
      const group = row * groups + Math.floor(col / block);
      const at = row * cols + col;
      values[at] = (scales[group] as number) * (codes[at] as number) + (offsets[group] as number);
    }
  }
  return values;
}

/** Bits a weight, with what a block keeps beside its codes: a half-precision scale, and a minimum or a zero point. */
export function bitsPerWeight({ bits, kind, block }: GridOptions): number {
  return bits + (16 + { symmetric: 0, asymmetric: 16, "integer-zero": bits }[kind]) / block;
}

const half = (value: number): number => fromHalf(toHalf(value));

/** The least number of few significant bits that is not below a number. Of subnormal halves those that are multiples of 2^-24 are exact. */
function coarse(value: number): number {
  if (value === 0) return 0;
  const step = Math.max(2 ** (Math.floor(Math.log2(value)) - COARSE_BITS + 1), 2 ** -24);
  return Math.ceil(value / step) * step;
}
