// Activations as the matrix kernels read them. Tokens come in tiles of four, side by side, so that one pointer serves all four and what
// is loaded and unpacked of the weights serves four products; the rest come one by one. In a block of 32 columns lie first the values, four bytes of a
// token after four of the next, then each token's scale, then (at 8 bits) each token's scale times the sum of its values. Scales carry `ROOT_HALF_SCALE`.
import { ROOT_HALF_SCALE } from "./dot";
import { round4 } from "./math";

export const TILE: i32 = 4;
/** How many of these tokens are in tiles. */
// @ts-ignore: decorator
@inline
export function tiled(tokens: i32): i32 {
  return tokens & ~(TILE - 1);
}

/** Bytes of one token's 8-bit values, scales and sums. */
// @ts-ignore: decorator
@inline
export function panelBytes8(blocks: i32): usize {
  return <usize>blocks * 40;
}

/** Bytes of one token's 16-bit values and scales. */
// @ts-ignore: decorator
@inline
export function panelBytes16(blocks: i32): usize {
  return <usize>blocks * 68;
}

/** Tokens side by side where this one lies: a whole tile or itself. */
// @ts-ignore: decorator
@inline
function widthAt(token: i32, tokens: i32): usize {
  return token < tiled(tokens) ? <usize>TILE : 1;
}

/** Largest absolute value of 32 fp32 values; NaN if there is one. */
// @ts-ignore: decorator
@inline
function largest(from: usize): f32 {
  // Without their signs, numbers order as their bits do, and NaN is above all of them.
  const magnitude = i32x4.splat(0x7fffffff);
  let m = v128.and(v128.load(from), magnitude);
  for (let i: usize = 16; i < 128; i += 16) m = i32x4.max_s(m, v128.and(v128.load(from + i), magnitude));
  m = i32x4.max_s(m, v128.shuffle<i32>(m, m, 2, 3, 0, 1));
  m = i32x4.max_s(m, v128.shuffle<i32>(m, m, 1, 0, 3, 2));
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
  return round4(f32x4.mul(v128.load(from), inverse));
}

/**
 * Writes blocks `first` to `first + count` of one token's 8-bit panel, of `blocks` in all. Symmetric, -127 … 127, a scale a block.
 * Where a value is NaN or infinite the scale is, and with it every product with the block.
 * @param from fp32 values of these blocks
 * @param panels of all `tokens` tokens
 */
export function quantize8(
  from: usize, first: i32, count: i32, blocks: i32, panels: usize, token: i32, tokens: i32,
): void {
  const width = widthAt(token, tokens);
  const lane = <usize>token & (width - 1);
  let to = panels + (<usize>token - lane) * panelBytes8(blocks) + <usize>first * 40 * width + 4 * lane;
  const step: usize = 4 * width;
  for (let b = 0; b < count; b++) {
    const most = largest(from);
    const factor = inverse(most, 127);
    let sum = i32x4.splat(0);
    for (let i: usize = 0; i < 128; i += 64) {
      const bytes = i8x16.narrow_i16x8_s(
        i16x8.narrow_i32x4_s(rounded(from + i, factor), rounded(from + i + 16, factor)),
        i16x8.narrow_i32x4_s(rounded(from + i + 32, factor), rounded(from + i + 48, factor)),
      );
      v128.store_lane<i32>(to, bytes, 0);
      v128.store_lane<i32>(to + step, bytes, 1);
      v128.store_lane<i32>(to + 2 * step, bytes, 2);
      v128.store_lane<i32>(to + 3 * step, bytes, 3);
      to += 4 * step;
      sum = i32x4.add(sum, i32x4.extadd_pairwise_i16x8_s(i16x8.extadd_pairwise_i8x16_s(bytes)));
    }
    sum = i32x4.add(sum, v128.shuffle<i32>(sum, sum, 2, 3, 0, 1));
    sum = i32x4.add(sum, v128.shuffle<i32>(sum, sum, 1, 0, 3, 2));
    const scale: f32 = (most / 127) * ROOT_HALF_SCALE;
    store<f32>(to, scale);
    store<f32>(to + step, scale * <f32>i32x4.extract_lane(sum, 0));
    to += 2 * step;
    from += 128;
  }
}

/** Writes one token's 16-bit panel. Symmetric, -32767 … 32767, a scale a block. */
export function quantize16(from: usize, blocks: i32, panels: usize, token: i32, tokens: i32): void {
  const width = widthAt(token, tokens);
  const lane = <usize>token & (width - 1);
  let to = panels + (<usize>token - lane) * panelBytes16(blocks) + 4 * lane;
  const step: usize = 4 * width;
  for (let b = 0; b < blocks; b++) {
    const most = largest(from);
    const factor = inverse(most, 32767);
    for (let i: usize = 0; i < 128; i += 32) {
      const words = i16x8.narrow_i32x4_s(rounded(from + i, factor), rounded(from + i + 16, factor));
      v128.store_lane<i32>(to, words, 0);
      v128.store_lane<i32>(to + step, words, 1);
      v128.store_lane<i32>(to + 2 * step, words, 2);
      v128.store_lane<i32>(to + 3 * step, words, 3);
      to += 4 * step;
    }
    store<f32>(to, (most / 32767) * ROOT_HALF_SCALE);
    to += step;
    from += 128;
  }
}

/** Writes one token's 16-bit panel with the same values as its 8-bit one, for weights of 8 bits, which read such panels. */
export function widen(
  panels8: usize, token8: i32, tokens8: i32, blocks: i32, panels16: usize, token16: i32, tokens16: i32,
): void {
  const width8 = widthAt(token8, tokens8);
  const lane8 = <usize>token8 & (width8 - 1);
  let from = panels8 + (<usize>token8 - lane8) * panelBytes8(blocks) + 4 * lane8;
  const width16 = widthAt(token16, tokens16);
  const lane16 = <usize>token16 & (width16 - 1);
  let to = panels16 + (<usize>token16 - lane16) * panelBytes16(blocks) + 4 * lane16;
  for (let b = 0; b < blocks; b++) {
    for (let i = 0; i < 8; i++) {
      store<i16>(to, load<i8>(from));
      store<i16>(to, load<i8>(from, 1), 2);
      to += 4 * width16;
      store<i16>(to, load<i8>(from, 2));
      store<i16>(to, load<i8>(from, 3), 2);
      to += 4 * width16;
      from += 4 * width8;
    }
    store<f32>(to, load<f32>(from));
    to += 4 * width16;
    from += 8 * width8;
  }
}
