// Matrix products with eight-bit weights (the output head, adapters) and the rows of the embedding.
//
// Eight rows are interleaved: for each block of 32 columns there are eight fp16 scales and sixteen 16-byte vectors, of which vector i holds
// columns 2i and 2i+1: rows 0 … 3 in the first half (two bytes a row), rows 4 … 7 in the second. Activations are 16 bits wide here: it
// costs the same, because eight-bit weights have to be widened anyway.
import { HALF_SCALE, halves, ROOT_HALF_SCALE } from "./dot";

const BLOCK_BYTES: usize = 272;

/**
 * out[token][row] = weights[row] . activations[token], or added to what is there.
 * @param weights first of `groups` groups of eight rows
 * @param blocks columns / 32
 * @param acts panels as `quantize16` writes them, `actStride` bytes apart
 * @param out fp32, `outStride` bytes from token to token
 * @param factor applied to the products before they are stored or added
 */
export function multiplyQ8(
  weights: usize, groups: i32, blocks: i32,
  acts: usize, actStride: usize, tokens: i32,
  out: usize, outStride: usize, factor: f32, add: bool,
): void {
  const groupBytes = <usize>blocks * BLOCK_BYTES;
  const scale = f32x4.splat(factor * ROOT_HALF_SCALE);
  for (let group = 0; group < groups; group++) {
    let token = 0;
    let act = acts;
    let to = out;
    for (; token + 4 <= tokens; token += 4) {
      four(weights, blocks, act, actStride, to, outStride, scale, add);
      act += 4 * actStride;
      to += 4 * outStride;
    }
    for (; token < tokens; token++) {
      one(weights, blocks, act, to, scale, add);
      act += actStride;
      to += outStride;
    }
    weights += groupBytes;
    out += 32;
  }
}

// @ts-ignore: decorator
@inline
function block(total: v128, products: v128, scales: v128, scale: v128): v128 {
  return f32x4.add(total, f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(products), scale), scales));
}

// @ts-ignore: decorator
@inline
function finish(to: usize, low: v128, high: v128, scale: v128, add: bool): void {
  low = f32x4.mul(low, scale);
  high = f32x4.mul(high, scale);
  if (add) {
    low = f32x4.add(v128.load(to), low);
    high = f32x4.add(v128.load(to, 16), high);
  }
  v128.store(to, low);
  v128.store(to, high, 16);
}

// @ts-ignore: decorator
@inline
function dotAdd(sum: v128, weights: v128, activations: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(weights, activations));
}

function one(weights: usize, blocks: i32, act: usize, to: usize, factor: v128, add: bool): void {
  const zero = i32x4.splat(0);
  let low = zero;
  let high = zero;
  let scales = act + (<usize>blocks << 6);
  for (let b = 0; b < blocks; b++) {
    let sumLow = zero;
    let sumHigh = zero;
    for (let i = 0; i < 16; i++) {
      const at = weights + (<usize>i << 4);
      const a = v128.load_splat<i32>(act + (<usize>i << 2));
      sumLow = dotAdd(sumLow, v128.load_ext<i8>(at, 16), a);
      sumHigh = dotAdd(sumHigh, v128.load_ext<i8>(at, 24), a);
    }
    const scale = v128.load_splat<f32>(scales);
    low = block(low, sumLow, halves(weights), scale);
    high = block(high, sumHigh, halves(weights + 8), scale);
    weights += BLOCK_BYTES;
    act += 64;
    scales += 4;
  }
  finish(to, low, high, factor, add);
}

function four(
  weights: usize, blocks: i32, a0: usize, stride: usize, to: usize, outStride: usize, factor: v128, add: bool,
): void {
  const zero = i32x4.splat(0);
  let a1 = a0 + stride;
  let a2 = a1 + stride;
  let a3 = a2 + stride;
  let low0 = zero, low1 = zero, low2 = zero, low3 = zero;
  let high0 = zero, high1 = zero, high2 = zero, high3 = zero;
  let s0 = a0 + (<usize>blocks << 6);
  let s1 = s0 + stride;
  let s2 = s1 + stride;
  let s3 = s2 + stride;
  for (let b = 0; b < blocks; b++) {
    let l0 = zero, l1 = zero, l2 = zero, l3 = zero;
    let h0 = zero, h1 = zero, h2 = zero, h3 = zero;
    for (let i = 0; i < 16; i++) {
      const at = <usize>i << 2;
      const from = weights + (<usize>i << 4);
      const wl = v128.load_ext<i8>(from, 16);
      const wh = v128.load_ext<i8>(from, 24);
      let a = v128.load_splat<i32>(a0 + at);
      l0 = dotAdd(l0, wl, a);
      h0 = dotAdd(h0, wh, a);
      a = v128.load_splat<i32>(a1 + at);
      l1 = dotAdd(l1, wl, a);
      h1 = dotAdd(h1, wh, a);
      a = v128.load_splat<i32>(a2 + at);
      l2 = dotAdd(l2, wl, a);
      h2 = dotAdd(h2, wh, a);
      a = v128.load_splat<i32>(a3 + at);
      l3 = dotAdd(l3, wl, a);
      h3 = dotAdd(h3, wh, a);
    }
    const scalesLow = halves(weights), scalesHigh = halves(weights + 8);
    let scale = v128.load_splat<f32>(s0);
    low0 = block(low0, l0, scalesLow, scale);
    high0 = block(high0, h0, scalesHigh, scale);
    scale = v128.load_splat<f32>(s1);
    low1 = block(low1, l1, scalesLow, scale);
    high1 = block(high1, h1, scalesHigh, scale);
    scale = v128.load_splat<f32>(s2);
    low2 = block(low2, l2, scalesLow, scale);
    high2 = block(high2, h2, scalesHigh, scale);
    scale = v128.load_splat<f32>(s3);
    low3 = block(low3, l3, scalesLow, scale);
    high3 = block(high3, h3, scalesHigh, scale);
    weights += BLOCK_BYTES;
    a0 += 64;
    a1 += 64;
    a2 += 64;
    a3 += 64;
    s0 += 4;
    s1 += 4;
    s2 += 4;
    s3 += 4;
  }
  finish(to, low0, high0, factor, add);
  finish(to + outStride, low1, high1, factor, add);
  finish(to + 2 * outStride, low2, high2, factor, add);
  finish(to + 3 * outStride, low3, high3, factor, add);
}

/**
 * The embedding of one token.
 * @param table first group of the embedding
 * @param to fp32, `blocks` * 32 values
 */
export function embed(table: usize, blocks: i32, token: i32, to: usize): void {
  let group = table + <usize>(token >> 3) * <usize>blocks * BLOCK_BYTES;
  const row = <usize>(token & 7);
  for (let b = 0; b < blocks; b++) {
    const half = <i32>load<i16>(group + (row << 1));
    const scale = reinterpret<f32>((half << 13) & 0x8fffe000) * HALF_SCALE;
    let at = group + 16 + (row << 1);
    for (let i = 0; i < 16; i++) {
      store<f32>(to, scale * <f32>load<i8>(at));
      store<f32>(to, scale * <f32>load<i8>(at, 1), 4);
      at += 16;
      to += 8;
    }
    group += BLOCK_BYTES;
  }
}
