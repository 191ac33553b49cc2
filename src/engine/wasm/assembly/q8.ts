// Matrix products with eight-bit weights (the output head, adapters, linears that a recipe stores so) and the rows of the embedding.
//
// Eight rows are interleaved: for each block of 32 columns there are eight fp16 scales and sixteen 16-byte vectors, of which vector i holds
// columns 2i and 2i+1: rows 0 … 3 in the first half (two bytes a row), rows 4 … 7 in the second. Activations are 16 bits wide here: it
// costs the same, because eight-bit weights have to be widened anyway. The loops have the shapes that q4.ts explains.
import { HALF_SCALE, halves, ROOT_HALF_SCALE } from "./dot";
import { panelBytes16, TILE, tiled } from "./panel";

const BLOCK_BYTES: usize = 272;
/** Groups that stay in the nearest caches while all tokens go by. */
const CHUNK: i32 = 12;

/**
 * out[token][row] = factor * weights[row] . activations[token], or added to what is there.
 * @param weights first of `groups` groups of eight rows
 * @param blocks columns / 32
 * @param panels of `tokens` tokens, as `quantize16` writes them
 * @param out fp32, `outStride` bytes from token to token
 */
export function multiplyQ8(
  weights: usize, groups: i32, blocks: i32, panels: usize, tokens: i32, out: usize, outStride: usize,
  factor: f32, add: bool,
): void {
  const groupBytes = <usize>blocks * BLOCK_BYTES;
  const chunk = tokens == 1 ? groups : CHUNK;
  const scale = f32x4.splat(factor * ROOT_HALF_SCALE);
  for (let first = 0; first < groups; first += chunk) {
    const count = min(chunk, groups - first);
    chunkOf(weights + <usize>first * groupBytes, count, blocks, panels, tokens, out + (<usize>first << 5), outStride, scale, add);
  }
}

function chunkOf(
  weights: usize, groups: i32, blocks: i32, panels: usize, tokens: i32, out: usize, outStride: usize,
  factor: v128, add: bool,
): void {
  const groupBytes = <usize>blocks * BLOCK_BYTES;
  const third = groups / 3;
  let token = 0;
  for (; token < tiled(tokens); token += TILE) {
    for (let group = 0; group < groups; group++) {
      fourTokens(weights + <usize>group * groupBytes, blocks, panels, out + (<usize>group << 5), outStride, factor, add);
    }
    panels += <usize>TILE * panelBytes16(blocks);
    out += <usize>TILE * outStride;
  }
  for (; token < tokens; token++) {
    for (let group = 0; group < third; group++) {
      threeGroups(weights + <usize>group * groupBytes, <usize>third * groupBytes, blocks, panels, out + (<usize>group << 5), <usize>third << 5, factor, add);
    }
    for (let group = third * 3; group < groups; group++) {
      oneGroup(weights + <usize>group * groupBytes, blocks, panels, out + (<usize>group << 5), factor, add);
    }
    panels += panelBytes16(blocks);
    out += outStride;
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

/** Three groups of eight rows, `apart` bytes from each other, for one token. */
function threeGroups(
  w0: usize, apart: usize, blocks: i32, panel: usize, to: usize, toApart: usize, factor: v128, add: bool,
): void {
  const zero = i32x4.splat(0);
  let w1 = w0 + apart;
  let w2 = w1 + apart;
  let low0 = zero, low1 = zero, low2 = zero;
  let high0 = zero, high1 = zero, high2 = zero;
  for (const last = panel + panelBytes16(blocks); panel < last; panel += 4) {
    let l0 = zero, l1 = zero, l2 = zero;
    let h0 = zero, h1 = zero, h2 = zero;
    let v0 = w0, v1 = w1, v2 = w2;
    for (const end = panel + 64; panel < end; panel += 4) {
      const a = v128.load_splat<i32>(panel);
      l0 = dotAdd(l0, v128.load_ext<i8>(v0, 16), a);
      h0 = dotAdd(h0, v128.load_ext<i8>(v0, 24), a);
      l1 = dotAdd(l1, v128.load_ext<i8>(v1, 16), a);
      h1 = dotAdd(h1, v128.load_ext<i8>(v1, 24), a);
      l2 = dotAdd(l2, v128.load_ext<i8>(v2, 16), a);
      h2 = dotAdd(h2, v128.load_ext<i8>(v2, 24), a);
      v0 += 16;
      v1 += 16;
      v2 += 16;
    }
    const scale = v128.load_splat<f32>(panel);
    low0 = block(low0, l0, halves(w0), scale);
    high0 = block(high0, h0, halves(w0 + 8), scale);
    low1 = block(low1, l1, halves(w1), scale);
    high1 = block(high1, h1, halves(w1 + 8), scale);
    low2 = block(low2, l2, halves(w2), scale);
    high2 = block(high2, h2, halves(w2 + 8), scale);
    w0 += BLOCK_BYTES;
    w1 += BLOCK_BYTES;
    w2 += BLOCK_BYTES;
  }
  finish(to, low0, high0, factor, add);
  finish(to + toApart, low1, high1, factor, add);
  finish(to + 2 * toApart, low2, high2, factor, add);
}

function oneGroup(w: usize, blocks: i32, panel: usize, to: usize, factor: v128, add: bool): void {
  const zero = i32x4.splat(0);
  let low = zero;
  let high = zero;
  for (const last = panel + panelBytes16(blocks); panel < last; panel += 4) {
    let l = zero;
    let h = zero;
    let v = w;
    for (const end = panel + 64; panel < end; panel += 4) {
      const a = v128.load_splat<i32>(panel);
      l = dotAdd(l, v128.load_ext<i8>(v, 16), a);
      h = dotAdd(h, v128.load_ext<i8>(v, 24), a);
      v += 16;
    }
    const scale = v128.load_splat<f32>(panel);
    low = block(low, l, halves(w), scale);
    high = block(high, h, halves(w + 8), scale);
    w += BLOCK_BYTES;
  }
  finish(to, low, high, factor, add);
}

/** One group for a tile of four tokens. */
function fourTokens(w: usize, blocks: i32, panel: usize, to: usize, outStride: usize, factor: v128, add: bool): void {
  const zero = i32x4.splat(0);
  let low0 = zero, low1 = zero, low2 = zero, low3 = zero;
  let high0 = zero, high1 = zero, high2 = zero, high3 = zero;
  for (const last = panel + <usize>TILE * panelBytes16(blocks); panel < last; panel += 16) {
    let l0 = zero, l1 = zero, l2 = zero, l3 = zero;
    let h0 = zero, h1 = zero, h2 = zero, h3 = zero;
    let v = w;
    for (const end = panel + 256; panel < end; panel += 16) {
      const wl = v128.load_ext<i8>(v, 16);
      const wh = v128.load_ext<i8>(v, 24);
      let a = v128.load_splat<i32>(panel);
      l0 = dotAdd(l0, wl, a);
      h0 = dotAdd(h0, wh, a);
      a = v128.load_splat<i32>(panel, 4);
      l1 = dotAdd(l1, wl, a);
      h1 = dotAdd(h1, wh, a);
      a = v128.load_splat<i32>(panel, 8);
      l2 = dotAdd(l2, wl, a);
      h2 = dotAdd(h2, wh, a);
      a = v128.load_splat<i32>(panel, 12);
      l3 = dotAdd(l3, wl, a);
      h3 = dotAdd(h3, wh, a);
      v += 16;
    }
    const scalesLow = halves(w), scalesHigh = halves(w + 8);
    let scale = v128.load_splat<f32>(panel);
    low0 = block(low0, l0, scalesLow, scale);
    high0 = block(high0, h0, scalesHigh, scale);
    scale = v128.load_splat<f32>(panel, 4);
    low1 = block(low1, l1, scalesLow, scale);
    high1 = block(high1, h1, scalesHigh, scale);
    scale = v128.load_splat<f32>(panel, 8);
    low2 = block(low2, l2, scalesLow, scale);
    high2 = block(high2, h2, scalesHigh, scale);
    scale = v128.load_splat<f32>(panel, 12);
    low3 = block(low3, l3, scalesLow, scale);
    high3 = block(high3, h3, scalesHigh, scale);
    w += BLOCK_BYTES;
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
    let scale = reinterpret<f32>((half << 13) & 0x8fffe000) * HALF_SCALE;
    // An infinite or NaN scale spoils the sequence that has this token, and must be seen to.
    if ((half & 0x7c00) == 0x7c00) scale = NaN;
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
