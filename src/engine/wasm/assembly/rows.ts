// What happens to rows of activations between matrix products: norms and SwiGLU.
import { exp4 } from "./math";
import { quantize16, quantize8 } from "./panel";

/** to = from / rms(from) * weight, over `count` fp32 values (a multiple of 32). RMSNorm: Zhang and Sennrich, arXiv 1910.07467. */
function normalize(from: usize, weight: usize, count: i32, epsilon: f32, to: usize): void {
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

/** Normalizes rows that a table points to, and quantizes them into 8-bit panels. `temporary` holds one row. */
export function normalizeRows8(
  rows: usize, tokens: i32, weight: usize, count: i32, epsilon: f32, temporary: usize, panels: usize,
): void {
  for (let i = 0; i < tokens; i++) {
    normalize(<usize>load<u32>(rows + (<usize>i << 2)), weight, count, epsilon, temporary);
    quantize8(temporary, 0, count >> 5, count >> 5, panels, i, tokens);
  }
}

/** As `normalizeRows8`, into 16-bit panels. */
export function normalizeRows16(
  rows: usize, tokens: i32, weight: usize, count: i32, epsilon: f32, temporary: usize, panels: usize,
): void {
  for (let i = 0; i < tokens; i++) {
    normalize(<usize>load<u32>(rows + (<usize>i << 2)), weight, count, epsilon, temporary);
    quantize16(temporary, count >> 5, panels, i, tokens);
  }
}

/** Quantizes rows that lie `stride` bytes apart into 8-bit panels. */
export function quantizeRows8(from: usize, stride: usize, tokens: i32, count: i32, panels: usize): void {
  for (let i = 0; i < tokens; i++) quantize8(from + <usize>i * stride, 0, count >> 5, count >> 5, panels, i, tokens);
}

/** Quantizes rows that lie `stride` bytes apart into 16-bit panels, as tokens `first` and on of `tokens`. */
export function quantizeRows16(
  from: usize, stride: usize, count: i32, blocks: i32, panels: usize, first: i32, tokens: i32,
): void {
  for (let i = 0; i < count; i++) quantize16(from + <usize>i * stride, blocks, panels, first + i, tokens);
}

/** Adds rows that lie `stride` bytes apart to the rows that a table points to. */
export function addRows(from: usize, stride: usize, tokens: i32, count: i32, rows: usize): void {
  const bytes = <usize>count << 2;
  for (let i = 0; i < tokens; i++) {
    const to = <usize>load<u32>(rows + (<usize>i << 2));
    for (let at: usize = 0; at < bytes; at += 16) {
      v128.store(to + at, f32x4.add(v128.load(to + at), v128.load(from + at)));
    }
    from += stride;
  }
}
