// What happens to rows of activations between matrix products: norms, SwiGLU, and their quantization into the panels that products read.
import { ROOT_HALF_SCALE } from "./dot";
import { exp4 } from "./math";

/** to = from / rms(from) * weight, over `count` fp32 values (a multiple of 32). RMSNorm: Zhang and Sennrich, arXiv 1910.07467. */
export function normalize(from: usize, weight: usize, count: i32, epsilon: f32, to: usize): void {
  const bytes = <usize>count << 2;
  let squares = f32x4.splat(0);
  for (let i: usize = 0; i < bytes; i += 16) {
    const x = v128.load(from + i);
    squares = f32x4.add(squares, f32x4.mul(x, x));
  }
  const sum = f32x4.extract_lane(squares, 0) + f32x4.extract_lane(squares, 1) +
    (f32x4.extract_lane(squares, 2) + f32x4.extract_lane(squares, 3));
  const factor = f32x4.splat(<f32>1 / sqrt<f32>(sum / <f32>count + epsilon));
  for (let i: usize = 0; i < bytes; i += 16) {
    v128.store(to + i, f32x4.mul(f32x4.mul(v128.load(from + i), factor), v128.load(weight + i)));
  }
}

/** Largest absolute value of 32 fp32 values. */
// @ts-ignore: decorator
@inline
function largest(from: usize): f32 {
  let m = f32x4.abs(v128.load(from));
  m = f32x4.max(m, f32x4.abs(v128.load(from, 16)));
  m = f32x4.max(m, f32x4.abs(v128.load(from, 32)));
  m = f32x4.max(m, f32x4.abs(v128.load(from, 48)));
  m = f32x4.max(m, f32x4.abs(v128.load(from, 64)));
  m = f32x4.max(m, f32x4.abs(v128.load(from, 80)));
  m = f32x4.max(m, f32x4.abs(v128.load(from, 96)));
  m = f32x4.max(m, f32x4.abs(v128.load(from, 112)));
  m = f32x4.max(m, v128.shuffle<i32>(m, m, 2, 3, 0, 1));
  m = f32x4.max(m, v128.shuffle<i32>(m, m, 1, 0, 3, 2));
  return f32x4.extract_lane(m, 0);
}

/** What a block is multiplied by to fill the integer range; 0 for a block of zeros. */
// @ts-ignore: decorator
@inline
function inverse(largest: f32, range: f32): v128 {
  return f32x4.splat(largest == 0 ? 0 : range / largest);
}

// @ts-ignore: decorator
@inline
function rounded(from: usize, inverse: v128): v128 {
  return i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(from), inverse)));
}

/** NaN or infinite when a value is, and then every product with the block is NaN. */
// @ts-ignore: decorator
@inline
function scaleOf(largest: f32, range: f32): f32 {
  return (largest / range) * ROOT_HALF_SCALE;
}

/**
 * A panel for `multiplyQ4`: all int8 values, then per block of 32 a scale, then per block scale * sum of its values.
 * Symmetric, -127 … 127. Writes blocks `first` to `first + count` of a panel of `blocks`.
 */
export function quantize8(from: usize, first: i32, count: i32, blocks: i32, panel: usize): void {
  const scales = panel + (<usize>blocks << 5);
  const sums = scales + (<usize>blocks << 2);
  for (let b = first; b < first + count; b++) {
    const most = largest(from);
    const factor = inverse(most, 127);
    const low = i8x16.narrow_i16x8_s(
      i16x8.narrow_i32x4_s(rounded(from, factor), rounded(from + 16, factor)),
      i16x8.narrow_i32x4_s(rounded(from + 32, factor), rounded(from + 48, factor)),
    );
    const high = i8x16.narrow_i16x8_s(
      i16x8.narrow_i32x4_s(rounded(from + 64, factor), rounded(from + 80, factor)),
      i16x8.narrow_i32x4_s(rounded(from + 96, factor), rounded(from + 112, factor)),
    );
    const to = panel + (<usize>b << 5);
    v128.store(to, low);
    v128.store(to, high, 16);
    let sum = i32x4.extadd_pairwise_i16x8_s(
      i16x8.add(i16x8.extadd_pairwise_i8x16_s(low), i16x8.extadd_pairwise_i8x16_s(high)),
    );
    sum = i32x4.add(sum, v128.shuffle<i32>(sum, sum, 2, 3, 0, 1));
    sum = i32x4.add(sum, v128.shuffle<i32>(sum, sum, 1, 0, 3, 2));
    const scale = scaleOf(most, 127);
    store<f32>(scales + (<usize>b << 2), scale);
    store<f32>(sums + (<usize>b << 2), scale * <f32>i32x4.extract_lane(sum, 0));
    from += 128;
  }
}

/** A panel for `multiplyQ8`: all int16 values, then per block of 32 a scale. Symmetric, -32767 … 32767. */
export function quantize16(from: usize, blocks: i32, panel: usize): void {
  const scales = panel + (<usize>blocks << 6);
  for (let b = 0; b < blocks; b++) {
    const most = largest(from);
    const factor = inverse(most, 32767);
    const to = panel + (<usize>b << 6);
    for (let i: usize = 0; i < 64; i += 16) {
      v128.store(to + i, i16x8.narrow_i32x4_s(rounded(from + 2 * i, factor), rounded(from + 2 * i + 16, factor)));
    }
    store<f32>(scales + (<usize>b << 2), scaleOf(most, 32767));
    from += 128;
  }
}

/** Turns a panel of `quantize8` into one of `quantize16` with the same values, for an adapter that reads the same activations. */
export function widenPanel(from: usize, blocks: i32, to: usize): void {
  const values = <usize>blocks << 5;
  for (let i: usize = 0; i < values; i += 8) v128.store(to + 2 * i, v128.load_ext<i8>(from + i));
  memory.copy(to + 2 * values, from + values, <usize>blocks << 2);
}

/** gate = gate * sigmoid(gate) * up, over `count` fp32 values. SwiGLU: Shazeer, arXiv 2002.05202. */
export function swiglu(gate: usize, up: usize, count: i32): void {
  const one = f32x4.splat(1);
  const end = gate + (<usize>count << 2);
  for (; gate < end; gate += 16, up += 16) {
    const x = v128.load(gate);
    const e = exp4(f32x4.neg(f32x4.abs(x)));
    const numerator = v128.bitselect(e, one, f32x4.lt(x, f32x4.splat(0)));
    const sigmoid = f32x4.div(numerator, f32x4.add(one, e));
    v128.store(gate, f32x4.mul(f32x4.mul(x, sigmoid), v128.load(up)));
  }
}

/** to += from, over `count` fp32 values. */
export function addRow(from: usize, to: usize, count: i32): void {
  const bytes = <usize>count << 2;
  for (let i: usize = 0; i < bytes; i += 16) v128.store(to + i, f32x4.add(v128.load(to + i), v128.load(from + i)));
}

/** Normalizes rows that a table points to, and quantizes each into a panel for `multiplyQ4`. `temporary` holds one row. */
export function normalizeRows8(
  rows: usize, tokens: i32, weight: usize, count: i32, epsilon: f32, temporary: usize, panels: usize, stride: usize,
): void {
  for (let i = 0; i < tokens; i++) {
    normalize(<usize>load<u32>(rows + (<usize>i << 2)), weight, count, epsilon, temporary);
    quantize8(temporary, 0, count >> 5, count >> 5, panels + <usize>i * stride);
  }
}

/** As `normalizeRows8`, for `multiplyQ8`. */
export function normalizeRows16(
  rows: usize, tokens: i32, weight: usize, count: i32, epsilon: f32, temporary: usize, panels: usize, stride: usize,
): void {
  for (let i = 0; i < tokens; i++) {
    normalize(<usize>load<u32>(rows + (<usize>i << 2)), weight, count, epsilon, temporary);
    quantize16(temporary, count >> 5, panels + <usize>i * stride);
  }
}

/** Quantizes rows that lie `fromStride` bytes apart. */
export function quantizeRows8(from: usize, fromStride: usize, tokens: i32, count: i32, panels: usize, stride: usize): void {
  for (let i = 0; i < tokens; i++) {
    quantize8(from + <usize>i * fromStride, 0, count >> 5, count >> 5, panels + <usize>i * stride);
  }
}

/** Adds rows that lie `fromStride` bytes apart to the rows that a table points to. */
export function addRows(from: usize, fromStride: usize, tokens: i32, count: i32, rows: usize): void {
  for (let i = 0; i < tokens; i++) addRow(from + <usize>i * fromStride, <usize>load<u32>(rows + (<usize>i << 2)), count);
}
