// The KV cache's pages, and what fills them.
//
// A page holds 32 tokens of one KV head at 8 bits with a bf16 scale a token: K by groups of eight tokens, in it by pairs of dimensions
// (an i32 lane is a token); V by pairs of tokens, in it by dimensions (an i32 lane is a dimension); then K's scales, then V's. A token
// is only ever read back from its page, so a chunked prefill sees the same numbers as a whole one.
import { rotate } from "./rope";

export const PAGE_TOKENS: i32 = 32;

/** Scales are the upper half of an fp32 number, rounded up, so that the largest value still fits 127 steps. */
// @ts-ignore: decorator
@inline
function scaleBits(largest: f32): u32 {
  return (reinterpret<u32>(largest / 127) + 0xffff) >> 16;
}

// @ts-ignore: decorator
@inline
export function largest(from: usize, count: i32): f32 {
  let m = f32x4.splat(0);
  for (let i: usize = 0; i < <usize>count << 2; i += 16) m = f32x4.max(m, f32x4.abs(v128.load(from + i)));
  m = f32x4.max(m, v128.shuffle<i32>(m, m, 2, 3, 0, 1));
  m = f32x4.max(m, v128.shuffle<i32>(m, m, 1, 0, 3, 2));
  return f32x4.extract_lane(m, 0);
}

/**
 * Rotates and stores K, stores V, for `tokens` tokens from `position` on.
 * @param k,v fp32 rows of all KV heads, `stride` bytes apart
 * @param tables as `angles` writes them, one a token
 * @param pages page addresses, `pagesPerHead` for each KV head
 */
export function storeKv(
  tokens: i32, position: i32, k: usize, v: usize, stride: usize, tables: usize, kvHeads: i32, dim: i32,
  pages: usize, pagesPerHead: i32,
): void {
  for (let i = 0; i < tokens; i++) {
    const at = position + i;
    for (let head = 0; head < kvHeads; head++) {
      const page = <usize>load<u32>(pages + (<usize>(head * pagesPerHead + at / PAGE_TOKENS) << 2));
      const offset = <usize>(head * dim) << 2;
      rotate(k + offset, dim >> 1, tables + (<usize>(i * dim) << 2));
      storeToken(page, at % PAGE_TOKENS, k + offset, v + offset, dim);
    }
    k += stride;
    v += stride;
  }
}

function storeToken(page: usize, index: i32, k: usize, v: usize, dim: i32): void {
  const scales = page + (<usize>dim << 6);
  // Scales of tokens to come must not be left from another sequence, which may have had NaN there.
  if (index == 0) memory.fill(scales, 0, 128);
  const scaleK = scaleBits(largest(k, dim));
  const scaleV = scaleBits(largest(v, dim));
  store<u16>(scales + (<usize>index << 1), <u16>scaleK);
  store<u16>(scales + (<usize>index << 1), <u16>scaleV, 64);
  const byK: f32 = scaleK == 0 ? 0 : <f32>1 / reinterpret<f32>(scaleK << 16);
  const byV: f32 = scaleV == 0 ? 0 : <f32>1 / reinterpret<f32>(scaleV << 16);
  let toK = page + <usize>(index >> 3) * (<usize>dim << 3) + (<usize>(index & 7) << 1);
  let toV = page + (<usize>dim << 5) + <usize>(index >> 1) * (<usize>dim << 1) + <usize>(index & 1);
  for (let d = 0; d < dim; d += 2) {
    store<i8>(toK, <i8><i32>nearest<f32>(load<f32>(k) * byK));
    store<i8>(toK, <i8><i32>nearest<f32>(load<f32>(k, 4) * byK), 1);
    store<i8>(toV, <i8><i32>nearest<f32>(load<f32>(v) * byV));
    store<i8>(toV, <i8><i32>nearest<f32>(load<f32>(v, 4) * byV), 2);
    toK += 16;
    toV += 4;
    k += 8;
    v += 8;
  }
}
