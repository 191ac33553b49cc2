// Matrix products with Q4_1 weights, the bulk of all work.
//
// Eight rows are interleaved: for each block of 32 columns there are eight fp16 scales, eight fp16 minima and eight 16-byte vectors, of
// which vector i holds columns 4i … 4i+3: low nibbles of rows 0 … 3 (four bytes a row), high nibbles of rows 4 … 7. So an i32 lane is a
// row and nothing is ever summed across lanes.
//
// Activations come in panels (see panel.ts). The shapes of the loops are what V8 compiles well: it hoists all loads of a loop body to
// its top, so a body holds few enough to stay in fifteen registers; and it rebuilds a vector constant in every turn, so the nibble mask
// is loaded from memory.
import { dotAdd, halves, ROOT_HALF_SCALE } from "./dot";
import { panelBytes8, TILE, tiled } from "./panel";

const BLOCK_BYTES: usize = 160;
const NIBBLES = memory.data<u32>([0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f], 16);
/** A block of eight rows with each nibble in a byte of its own, then scales and minima in fp32. */
const UNPACKED_BYTES: usize = 320;
/** From this many tokens in tiles on, unpacking a group once for all of them pays. */
const MANY: i32 = 12;
/** Groups that stay in the nearest caches while a few tokens go by. */
const CHUNK: i32 = 24;

/**
 * out[token][row] = weights[row] . activations[token].
 * @param weights first of `groups` groups of eight rows
 * @param blocks columns / 32
 * @param panels of `tokens` tokens, as `quantize8` writes them
 * @param out fp32, `outStride` bytes from token to token
 * @param unpacked room for `blocks` * 320 bytes
 */
export function multiplyQ4(
  weights: usize, groups: i32, blocks: i32, panels: usize, tokens: i32, out: usize, outStride: usize, unpacked: usize,
): void {
  const groupBytes = <usize>blocks * BLOCK_BYTES;
  const inTiles = tiled(tokens);
  if (inTiles > 0) {
    let w = weights;
    let to = out;
    for (let group = 0; group < groups; group++, w += groupBytes, to += 32) {
      if (inTiles >= MANY) {
        unpack(w, blocks, unpacked);
        tiles(unpacked, false, blocks, panels, inTiles, to, outStride);
      } else tiles(w, true, blocks, panels, inTiles, to, outStride);
    }
  }
  const rest = tokens - inTiles;
  const panel = panels + <usize>inTiles * panelBytes8(blocks);
  out += <usize>inTiles * outStride;
  const chunk = rest == 1 ? groups : CHUNK;
  for (let first = 0; rest > 0 && first < groups; first += chunk) {
    chunkOf(weights + <usize>first * groupBytes, min(chunk, groups - first), blocks, panel, rest, out + (<usize>first << 5), outStride);
  }
}

/** One group for all tokens that are in tiles. */
function tiles(w: usize, packed: bool, blocks: i32, panel: usize, tokens: i32, to: usize, outStride: usize): void {
  for (let token = 0; token < tokens; token += TILE) {
    if (packed) fourPacked(w, blocks, panel, to, outStride);
    else fourUnpacked(w, blocks, panel, to, outStride);
    panel += panelBytes8(blocks) * <usize>TILE;
    to += outStride * <usize>TILE;
  }
}

/** Some groups for tokens that are in no tile, one token after the other. */
function chunkOf(weights: usize, groups: i32, blocks: i32, panel: usize, tokens: i32, out: usize, outStride: usize): void {
  // Three streams far apart: a core fetches several streams ahead, each only so far.
  const groupBytes = <usize>blocks * BLOCK_BYTES;
  const third = groups / 3;
  const apart = <usize>third * groupBytes;
  const outApart = <usize>third << 5;
  for (let token = 0; token < tokens; token++, panel += panelBytes8(blocks), out += outStride) {
    let w = weights;
    let to = out;
    for (let i = 0; i < third; i++, w += groupBytes, to += 32) threeGroups(w, apart, blocks, panel, to, outApart);
    w = weights + <usize>third * 3 * groupBytes;
    to = out + ((<usize>third * 3) << 5);
    for (let i = third * 3; i < groups; i++, w += groupBytes, to += 32) threeGroups(w, 0, blocks, panel, to, 0);
  }
}

/** What a block adds to four rows: scale * sum of products + minimum * sum of activations. The same operations in every kernel. */
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

/** Three groups of eight rows, `apart` bytes from each other, for one token. */
function threeGroups(w0: usize, apart: usize, blocks: i32, panel: usize, to: usize, toApart: usize): void {
  const nibbles = v128.load(NIBBLES);
  const zero = i32x4.splat(0);
  let w1 = w0 + apart;
  let w2 = w1 + apart;
  let low0 = zero, low1 = zero, low2 = zero;
  let high0 = zero, high1 = zero, high2 = zero;
  for (const last = panel + panelBytes8(blocks); panel < last; panel += 8) {
    let l0 = zero, l1 = zero, l2 = zero;
    let h0 = zero, h1 = zero, h2 = zero;
    let v0 = w0, v1 = w1, v2 = w2;
    for (const end = panel + 32; panel < end; panel += 4) {
      const a = v128.load_splat<i32>(panel);
      let pair = v128.load(v0, 32);
      l0 = dotAdd(l0, v128.and(pair, nibbles), a);
      h0 = dotAdd(h0, v128.and(i16x8.shr_u(pair, 4), nibbles), a);
      pair = v128.load(v1, 32);
      l1 = dotAdd(l1, v128.and(pair, nibbles), a);
      h1 = dotAdd(h1, v128.and(i16x8.shr_u(pair, 4), nibbles), a);
      pair = v128.load(v2, 32);
      l2 = dotAdd(l2, v128.and(pair, nibbles), a);
      h2 = dotAdd(h2, v128.and(i16x8.shr_u(pair, 4), nibbles), a);
      v0 += 16;
      v1 += 16;
      v2 += 16;
    }
    const scale = v128.load_splat<f32>(panel);
    const sum = v128.load_splat<f32>(panel, 4);
    low0 = block(low0, l0, halves(w0), halves(w0 + 16), scale, sum);
    high0 = block(high0, h0, halves(w0 + 8), halves(w0 + 24), scale, sum);
    low1 = block(low1, l1, halves(w1), halves(w1 + 16), scale, sum);
    high1 = block(high1, h1, halves(w1 + 8), halves(w1 + 24), scale, sum);
    low2 = block(low2, l2, halves(w2), halves(w2 + 16), scale, sum);
    high2 = block(high2, h2, halves(w2 + 8), halves(w2 + 24), scale, sum);
    w0 += BLOCK_BYTES;
    w1 += BLOCK_BYTES;
    w2 += BLOCK_BYTES;
  }
  finish(to, low0, high0);
  finish(to + toApart, low1, high1);
  finish(to + 2 * toApart, low2, high2);
}

/** Unpacks a group. */
function unpack(w: usize, blocks: i32, to: usize): void {
  const nibbles = v128.load(NIBBLES);
  for (let b = 0; b < blocks; b++) {
    v128.store(to, halves(w), 256);
    v128.store(to, halves(w + 8), 272);
    v128.store(to, halves(w + 16), 288);
    v128.store(to, halves(w + 24), 304);
    for (const end = to + 256; to < end; to += 32, w += 16) {
      const pair = v128.load(w, 32);
      v128.store(to, v128.and(pair, nibbles));
      v128.store(to, v128.and(i16x8.shr_u(pair, 4), nibbles), 16);
    }
    to += 64;
    w += 32;
  }
}

function fourPacked(w: usize, blocks: i32, panel: usize, to: usize, outStride: usize): void {
  fourTokens(w, true, blocks, panel, to, outStride);
}

function fourUnpacked(w: usize, blocks: i32, panel: usize, to: usize, outStride: usize): void {
  fourTokens(w, false, blocks, panel, to, outStride);
}

/** One group, as it is or unpacked, for a tile of four tokens. */
// @ts-ignore: decorator
@inline
function fourTokens(w: usize, packed: bool, blocks: i32, panel: usize, to: usize, outStride: usize): void {
  const nibbles = v128.load(NIBBLES);
  const zero = i32x4.splat(0);
  let low0 = zero, low1 = zero, low2 = zero, low3 = zero;
  let high0 = zero, high1 = zero, high2 = zero, high3 = zero;
  for (const last = panel + <usize>TILE * panelBytes8(blocks); panel < last; panel += 32) {
    let l0 = zero, l1 = zero, l2 = zero, l3 = zero;
    let h0 = zero, h1 = zero, h2 = zero, h3 = zero;
    let v = packed ? w + 32 : w;
    for (const end = panel + 128; panel < end; panel += 16) {
      const pair = v128.load(v);
      const low = packed ? v128.and(pair, nibbles) : pair;
      const high = packed ? v128.and(i16x8.shr_u(pair, 4), nibbles) : v128.load(v, 16);
      let a = v128.load_splat<i32>(panel);
      l0 = dotAdd(l0, low, a);
      h0 = dotAdd(h0, high, a);
      a = v128.load_splat<i32>(panel, 4);
      l1 = dotAdd(l1, low, a);
      h1 = dotAdd(h1, high, a);
      a = v128.load_splat<i32>(panel, 8);
      l2 = dotAdd(l2, low, a);
      h2 = dotAdd(h2, high, a);
      a = v128.load_splat<i32>(panel, 12);
      l3 = dotAdd(l3, low, a);
      h3 = dotAdd(h3, high, a);
      v += packed ? 16 : 32;
    }
    const scalesLow = packed ? halves(w) : v128.load(v), scalesHigh = packed ? halves(w + 8) : v128.load(v, 16);
    const minimaLow = packed ? halves(w + 16) : v128.load(v, 32), minimaHigh = packed ? halves(w + 24) : v128.load(v, 48);
    let scale = v128.load_splat<f32>(panel), sum = v128.load_splat<f32>(panel, 16);
    low0 = block(low0, l0, scalesLow, minimaLow, scale, sum);
    high0 = block(high0, h0, scalesHigh, minimaHigh, scale, sum);
    scale = v128.load_splat<f32>(panel, 4), sum = v128.load_splat<f32>(panel, 20);
    low1 = block(low1, l1, scalesLow, minimaLow, scale, sum);
    high1 = block(high1, h1, scalesHigh, minimaHigh, scale, sum);
    scale = v128.load_splat<f32>(panel, 8), sum = v128.load_splat<f32>(panel, 24);
    low2 = block(low2, l2, scalesLow, minimaLow, scale, sum);
    high2 = block(high2, h2, scalesHigh, minimaHigh, scale, sum);
    scale = v128.load_splat<f32>(panel, 12), sum = v128.load_splat<f32>(panel, 28);
    low3 = block(low3, l3, scalesLow, minimaLow, scale, sum);
    high3 = block(high3, h3, scalesHigh, minimaHigh, scale, sum);
    w += packed ? BLOCK_BYTES : UNPACKED_BYTES;
  }
  finish(to, low0, high0);
  finish(to + outStride, low1, high1);
  finish(to + 2 * outStride, low2, high2);
  finish(to + 3 * outStride, low3, high3);
}
