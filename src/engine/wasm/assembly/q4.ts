// Matrix products with Q4_1 weights, the bulk of all work.
//
// Eight rows are interleaved: for each block of 32 columns there are eight fp16 scales, eight fp16 minima and eight 16-byte vectors, of
// which vector i holds columns 4i … 4i+3: low nibbles of rows 0 … 3 (four bytes a row), high nibbles of rows 4 … 7. So an i32 lane is a
// row and nothing is ever summed across lanes.
import { dotAdd, halves, ROOT_HALF_SCALE } from "./dot";

const BLOCK_BYTES: usize = 160;

/**
 * out[token][row] = weights[row] . activations[token].
 * @param weights first of `groups` groups of eight rows
 * @param blocks columns / 32
 * @param acts panels as `quantize8` writes them, `actStride` bytes apart
 * @param out fp32, `outStride` bytes from token to token
 */
export function multiplyQ4(
  weights: usize, groups: i32, blocks: i32,
  acts: usize, actStride: usize, tokens: i32,
  out: usize, outStride: usize,
): void {
  const groupBytes = <usize>blocks * BLOCK_BYTES;
  for (let group = 0; group < groups; group++) {
    let token = 0;
    let act = acts;
    let to = out;
    for (; token + 4 <= tokens; token += 4) {
      four(weights, blocks, act, actStride, to, outStride);
      act += 4 * actStride;
      to += 4 * outStride;
    }
    for (; token < tokens; token++) {
      one(weights, blocks, act, to);
      act += actStride;
      to += outStride;
    }
    weights += groupBytes;
    out += 32;
  }
}

/** What a block adds to four rows: scale * sum of products + minimum * sum of activations. Same operations at every tile width. */
// @ts-ignore: decorator
@inline
function block(total: v128, products: v128, scales: v128, minima: v128, scale: v128, sum: v128): v128 {
  const exact = f32x4.convert_i32x4_s(i32x4.extadd_pairwise_i16x8_s(products));
  return f32x4.add(total, f32x4.add(f32x4.mul(f32x4.mul(exact, scale), scales), f32x4.mul(minima, sum)));
}

// @ts-ignore: decorator
@inline
function finish(to: usize, low: v128, high: v128): void {
  const scale = f32x4.splat(ROOT_HALF_SCALE);
  v128.store(to, f32x4.mul(low, scale));
  v128.store(to, f32x4.mul(high, scale), 16);
}

function one(weights: usize, blocks: i32, act: usize, to: usize): void {
  const nibble = i8x16.splat(15);
  const zero = i32x4.splat(0);
  let low = zero;
  let high = zero;
  let scales = act + (<usize>blocks << 5);
  const sumsAt = <usize>blocks << 2;
  for (let b = 0; b < blocks; b++) {
    let sumLow = zero;
    let sumHigh = zero;
    for (let i = 0; i < 8; i++) {
      const pair = v128.load(weights + (<usize>i << 4), 32);
      const a = v128.load_splat<i32>(act + (<usize>i << 2));
      sumLow = dotAdd(sumLow, v128.and(pair, nibble), a);
      sumHigh = dotAdd(sumHigh, v128.and(i16x8.shr_u(pair, 4), nibble), a);
    }
    const scale = v128.load_splat<f32>(scales);
    const sum = v128.load_splat<f32>(scales + sumsAt);
    low = block(low, sumLow, halves(weights), halves(weights + 16), scale, sum);
    high = block(high, sumHigh, halves(weights + 8), halves(weights + 24), scale, sum);
    weights += BLOCK_BYTES;
    act += 32;
    scales += 4;
  }
  finish(to, low, high);
}

function four(weights: usize, blocks: i32, a0: usize, stride: usize, to: usize, outStride: usize): void {
  const nibble = i8x16.splat(15);
  const zero = i32x4.splat(0);
  let a1 = a0 + stride;
  let a2 = a1 + stride;
  let a3 = a2 + stride;
  let low0 = zero, low1 = zero, low2 = zero, low3 = zero;
  let high0 = zero, high1 = zero, high2 = zero, high3 = zero;
  const sumsAt = <usize>blocks << 2;
  let s0 = a0 + (<usize>blocks << 5);
  let s1 = s0 + stride;
  let s2 = s1 + stride;
  let s3 = s2 + stride;
  for (let b = 0; b < blocks; b++) {
    let l0 = zero, l1 = zero, l2 = zero, l3 = zero;
    let h0 = zero, h1 = zero, h2 = zero, h3 = zero;
    for (let i = 0; i < 8; i++) {
      const at = <usize>i << 2;
      const pair = v128.load(weights + (<usize>i << 4), 32);
      const wl = v128.and(pair, nibble);
      const wh = v128.and(i16x8.shr_u(pair, 4), nibble);
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
    const minimaLow = halves(weights + 16), minimaHigh = halves(weights + 24);
    let scale = v128.load_splat<f32>(s0);
    let sum = v128.load_splat<f32>(s0 + sumsAt);
    low0 = block(low0, l0, scalesLow, minimaLow, scale, sum);
    high0 = block(high0, h0, scalesHigh, minimaHigh, scale, sum);
    scale = v128.load_splat<f32>(s1);
    sum = v128.load_splat<f32>(s1 + sumsAt);
    low1 = block(low1, l1, scalesLow, minimaLow, scale, sum);
    high1 = block(high1, h1, scalesHigh, minimaHigh, scale, sum);
    scale = v128.load_splat<f32>(s2);
    sum = v128.load_splat<f32>(s2 + sumsAt);
    low2 = block(low2, l2, scalesLow, minimaLow, scale, sum);
    high2 = block(high2, h2, scalesHigh, minimaHigh, scale, sum);
    scale = v128.load_splat<f32>(s3);
    sum = v128.load_splat<f32>(s3 + sumsAt);
    low3 = block(low3, l3, scalesLow, minimaLow, scale, sum);
    high3 = block(high3, h3, scalesHigh, minimaHigh, scale, sum);
    weights += BLOCK_BYTES;
    a0 += 32;
    a1 += 32;
    a2 += 32;
    a3 += 32;
    s0 += 4;
    s1 += 4;
    s2 += 4;
    s3 += 4;
  }
  finish(to, low0, high0);
  finish(to + outStride, low1, high1);
  finish(to + 2 * outStride, low2, high2);
  finish(to + 3 * outStride, low3, high3);
}
