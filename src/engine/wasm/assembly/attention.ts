// The KV cache and attention over it, with grouped queries (Ainslie et al., arXiv 2305.13245).
//
// A page holds 32 tokens of one KV head at 8 bits with a bf16 scale a token: K by groups of eight tokens, in it by pairs of dimensions
// (an i32 lane is a token); V by pairs of tokens, in it by dimensions (an i32 lane is a dimension); then K's scales, then V's. A token
// is only ever read back from its page, so a chunked prefill sees the same numbers as a whole one. All sums run over absolute
// positions, so they don't depend on what was computed together.
import { exp4, round4 } from "./math";
import { rotate } from "./rope";

export const PAGE_TOKENS: i32 = 32;

/** Scales are the upper half of an fp32 number, rounded up, so that the largest value still fits 127 steps. */
// @ts-ignore: decorator
@inline
function scaleBits(largest: f32): u32 {
  return (reinterpret<u32>(largest / 127) + 0xffff) >> 16;
}

/** Four bf16 scales as fp32. */
// @ts-ignore: decorator
@inline
function scales4(from: usize): v128 {
  return i32x4.shl(v128.load_ext<u16>(from), 16);
}

// @ts-ignore: decorator
@inline
function largest(from: usize, count: i32): f32 {
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

/**
 * Attention of `tokens` tokens from `position` on, each over itself and all before it.
 * @param q fp32 rows of all heads, `qStride` bytes apart; rotated in place
 * @param out fp32 rows, `outStride` bytes apart
 * @param scratch `group` * (6 * dim + 4 * (position + tokens + 32) + 96) bytes
 */
export function attend(
  tokens: i32, position: i32, q: usize, qStride: usize, tables: usize, kvHeads: i32, group: i32, dim: i32,
  pages: usize, pagesPerHead: i32, out: usize, outStride: usize, scratch: usize,
): void {
  const bytes = <usize>dim << 2;
  for (let i = 0; i < tokens; i++) {
    for (let head = 0; head < kvHeads * group; head++) rotate(q + <usize>head * bytes, dim >> 1, tables);
    for (let head = 0; head < kvHeads; head++) {
      const first = <usize>(head * group) * bytes;
      attendHead(q + first, group, dim, pages + (<usize>(head * pagesPerHead) << 2), position + i + 1, out + first, scratch);
    }
    q += qStride;
    out += outStride;
    tables += bytes;
  }
}

/** One token's queries of one KV head over `n` tokens. */
function attendHead(q: usize, group: i32, dim: i32, pages: usize, n: i32, out: usize, scratch: usize): void {
  const scale: f32 = <f32>1 / sqrt<f32>(<f32>dim);
  const padded = (n + PAGE_TOKENS - 1) & ~(PAGE_TOKENS - 1);
  const rowBytes = <usize>padded << 2;
  const queryBytes = <usize>dim << 1;
  const queries = scratch;
  const scores = queries + <usize>group * queryBytes;
  const weights = scores + <usize>group * rowBytes;
  const totals = weights + ((<usize>group * PAGE_TOKENS) << 1);
  const factors = totals + (<usize>group << 2);

  for (let g = 0; g < group; g++) {
    const from = q + <usize>g * (<usize>dim << 2);
    const most = largest(from, dim);
    const by = f32x4.splat(most == 0 ? 0 : 32767 / most);
    store<f32>(factors + (<usize>g << 2), (most / 32767) * scale);
    // Threes lie interleaved for `score3`, the one or two that are left alone.
    const threes = group / 3 * 3;
    const lanes: usize = g < threes ? 3 : 1;
    let to = queries + <usize>(lanes == 3 ? g / 3 * 3 : g) * queryBytes + (lanes == 3 ? <usize>(g % 3) << 2 : 0);
    for (let d: usize = 0; d < queryBytes; d += 16) {
      const words = i16x8.narrow_i32x4_s(
        round4(f32x4.mul(v128.load(from + 2 * d), by)),
        round4(f32x4.mul(v128.load(from + 2 * d, 16), by)),
      );
      v128.store_lane<i32>(to, words, 0);
      v128.store_lane<i32>(to + 4 * lanes, words, 1);
      v128.store_lane<i32>(to + 8 * lanes, words, 2);
      v128.store_lane<i32>(to + 12 * lanes, words, 3);
      to += 16 * lanes;
    }
  }

  for (let token = 0; token < padded; token += PAGE_TOKENS) {
    const page = <usize>load<u32>(pages + (<usize>(token / PAGE_TOKENS) << 2));
    const to = scores + (<usize>token << 2);
    let g = 0;
    for (; g + 3 <= group; g += 3) score3(page, dim, queries + <usize>g * queryBytes, factors + (<usize>g << 2), to + <usize>g * rowBytes, rowBytes);
    for (; g < group; g++) score1(page, dim, queries + <usize>g * queryBytes, factors + (<usize>g << 2), to + <usize>g * rowBytes);
  }
  for (let g = 0; g < group; g++) store<f32>(totals + (<usize>g << 2), softmax(scores + <usize>g * rowBytes, n, padded));

  memory.fill(out, 0, <usize>(group * dim) << 2);
  for (let token = 0; token < padded; token += PAGE_TOKENS) {
    const page = <usize>load<u32>(pages + (<usize>(token / PAGE_TOKENS) << 2));
    const pairs = (min(n - token, PAGE_TOKENS) + 1) >> 1;
    for (let g = 0; g < group; g++) {
      const most = weigh(scores + <usize>g * rowBytes + (<usize>token << 2), page + (<usize>dim << 6) + 64, weights + (<usize>(g * PAGE_TOKENS) << 1));
      store<f32>(factors + (<usize>g << 2), most / 32767);
    }
    let g = 0;
    for (; g + 3 <= group; g += 3) mix3(page, dim, pairs, weights + (<usize>(g * PAGE_TOKENS) << 1), factors + (<usize>g << 2), out + <usize>g * (<usize>dim << 2));
    for (; g < group; g++) mix1(page, dim, pairs, weights + (<usize>(g * PAGE_TOKENS) << 1), factors + (<usize>g << 2), out + <usize>g * (<usize>dim << 2));
  }
  for (let g = 0; g < group; g++) {
    const by = f32x4.splat(<f32>1 / load<f32>(totals + (<usize>g << 2)));
    for (let d: usize = 0; d < <usize>dim << 2; d += 16) {
      v128.store(out + d, f32x4.mul(v128.load(out + d), by));
    }
    out += <usize>dim << 2;
  }
}

// @ts-ignore: decorator
@inline
function dotAdd(sum: v128, a: v128, b: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(a, b));
}

// @ts-ignore: decorator
@inline
function storeScores(to: usize, sum: v128, factor: usize, scales: usize): void {
  v128.store(to, f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(sum), v128.load_splat<f32>(factor)), scales4(scales)));
}

/** Scores of three queries, interleaved by pairs of dimensions, against a page's 32 tokens, eight at a time. */
function score3(page: usize, dim: i32, queries: usize, factors: usize, to: usize, rowBytes: usize): void {
  const zero = i32x4.splat(0);
  const to1 = to + rowBytes;
  const to2 = to1 + rowBytes;
  const end = queries + <usize>dim * 6;
  let scales = page + (<usize>dim << 6);
  for (let t: usize = 0; t < 128; t += 32) {
    let a0 = zero, a1 = zero, a2 = zero, b0 = zero, b1 = zero, b2 = zero;
    for (let from = queries; from < end; from += 12) {
      const ka = v128.load_ext<i8>(page);
      const kb = v128.load_ext<i8>(page, 8);
      let s = v128.load_splat<i32>(from);
      a0 = dotAdd(a0, ka, s);
      b0 = dotAdd(b0, kb, s);
      s = v128.load_splat<i32>(from, 4);
      a1 = dotAdd(a1, ka, s);
      b1 = dotAdd(b1, kb, s);
      s = v128.load_splat<i32>(from, 8);
      a2 = dotAdd(a2, ka, s);
      b2 = dotAdd(b2, kb, s);
      page += 16;
    }
    storeScores(to + t, a0, factors, scales);
    storeScores(to + t + 16, b0, factors, scales + 8);
    storeScores(to1 + t, a1, factors + 4, scales);
    storeScores(to1 + t + 16, b1, factors + 4, scales + 8);
    storeScores(to2 + t, a2, factors + 8, scales);
    storeScores(to2 + t + 16, b2, factors + 8, scales + 8);
    scales += 16;
  }
}

function score1(page: usize, dim: i32, query: usize, factor: usize, to: usize): void {
  const zero = i32x4.splat(0);
  const end = query + (<usize>dim << 1);
  let scales = page + (<usize>dim << 6);
  for (let t: usize = 0; t < 128; t += 32) {
    let a = zero, b = zero;
    for (let from = query; from < end; from += 4) {
      const s = v128.load_splat<i32>(from);
      a = dotAdd(a, v128.load_ext<i8>(page), s);
      b = dotAdd(b, v128.load_ext<i8>(page, 8), s);
      page += 16;
    }
    storeScores(to + t, a, factor, scales);
    storeScores(to + t + 16, b, factor, scales + 8);
    scales += 16;
  }
}

/** Replaces `n` scores by e^(score - largest), what follows up to `padded` by 0, and returns their sum. */
function softmax(scores: usize, n: i32, padded: i32): f32 {
  for (let i = n; i < padded; i++) store<f32>(scores + (<usize>i << 2), -Infinity);
  const bytes = <usize>padded << 2;
  let most = f32x4.splat(-Infinity);
  // pmax is one instruction; a NaN that it drops is still in the sum.
  for (let i: usize = 0; i < bytes; i += 16) most = f32x4.pmax(most, v128.load(scores + i));
  most = f32x4.max(most, v128.shuffle<i32>(most, most, 2, 3, 0, 1));
  most = f32x4.max(most, v128.shuffle<i32>(most, most, 1, 0, 3, 2));
  let total = f32x4.splat(0);
  for (let i: usize = 0; i < bytes; i += 16) {
    const e = exp4(f32x4.sub(v128.load(scores + i), most));
    v128.store(scores + i, e);
    total = f32x4.add(total, e);
  }
  return f32x4.extract_lane(total, 0) + f32x4.extract_lane(total, 1) +
    (f32x4.extract_lane(total, 2) + f32x4.extract_lane(total, 3));
}

/** Probabilities of a page times the scales of V, as i16; returns the largest, which stands for 32767. */
function weigh(probabilities: usize, scales: usize, to: usize): f32 {
  let most = f32x4.splat(0);
  for (let i: usize = 0; i < 128; i += 16) {
    const p = v128.load(probabilities + i);
    // Where the probability is 0 the token may be one to come, with a NaN of its own.
    const w = v128.and(f32x4.mul(p, scales4(scales + (i >> 1))), f32x4.ne(p, f32x4.splat(0)));
    v128.store(probabilities + i, w);
    // Numbers without a sign order as their bits do, and NaN is above all of them.
    most = i32x4.max_s(most, w);
  }
  most = i32x4.max_s(most, v128.shuffle<i32>(most, most, 2, 3, 0, 1));
  most = i32x4.max_s(most, v128.shuffle<i32>(most, most, 1, 0, 3, 2));
  const largest = f32x4.extract_lane(most, 0);
  const by = f32x4.splat(largest == 0 ? 0 : 32767 / largest);
  for (let i: usize = 0; i < 128; i += 32) {
    v128.store(to + (i >> 1), i16x8.narrow_i32x4_s(
      round4(f32x4.mul(v128.load(probabilities + i), by)),
      round4(f32x4.mul(v128.load(probabilities + i, 16), by)),
    ));
  }
  return largest;
}

// @ts-ignore: decorator
@inline
function addTo(to: usize, sum: v128, factor: usize): void {
  v128.store(to, f32x4.add(v128.load(to), f32x4.mul(f32x4.convert_i32x4_s(sum), v128.load_splat<f32>(factor))));
}

/** Adds a page's weighted V to three queries' outputs, eight dimensions at a time. */
function mix3(page: usize, dim: i32, pairs: i32, weights: usize, factors: usize, out: usize): void {
  const zero = i32x4.splat(0);
  const pairBytes = <usize>dim << 1;
  const outBytes = <usize>dim << 2;
  const end = weights + (<usize>pairs << 2);
  let v = page + (<usize>dim << 5);
  for (let d = 0; d < dim; d += 8) {
    let a0 = zero, a1 = zero, a2 = zero, b0 = zero, b1 = zero, b2 = zero;
    let at = v;
    for (let from = weights; from < end; from += 4) {
      const va = v128.load_ext<i8>(at);
      const vb = v128.load_ext<i8>(at, 8);
      let s = v128.load_splat<i32>(from);
      a0 = dotAdd(a0, va, s);
      b0 = dotAdd(b0, vb, s);
      s = v128.load_splat<i32>(from, 64);
      a1 = dotAdd(a1, va, s);
      b1 = dotAdd(b1, vb, s);
      s = v128.load_splat<i32>(from, 128);
      a2 = dotAdd(a2, va, s);
      b2 = dotAdd(b2, vb, s);
      at += pairBytes;
    }
    addTo(out, a0, factors);
    addTo(out + 16, b0, factors);
    addTo(out + outBytes, a1, factors + 4);
    addTo(out + outBytes + 16, b1, factors + 4);
    addTo(out + 2 * outBytes, a2, factors + 8);
    addTo(out + 2 * outBytes + 16, b2, factors + 8);
    v += 16;
    out += 32;
  }
}

function mix1(page: usize, dim: i32, pairs: i32, weights: usize, factor: usize, out: usize): void {
  const zero = i32x4.splat(0);
  const pairBytes = <usize>dim << 1;
  const end = weights + (<usize>pairs << 2);
  let v = page + (<usize>dim << 5);
  for (let d = 0; d < dim; d += 8) {
    let a = zero, b = zero;
    let at = v;
    for (let from = weights; from < end; from += 4) {
      const s = v128.load_splat<i32>(from);
      a = dotAdd(a, v128.load_ext<i8>(at), s);
      b = dotAdd(b, v128.load_ext<i8>(at, 8), s);
      at += pairBytes;
    }
    addTo(out, a, factor);
    addTo(out + 16, b, factor);
    v += 16;
    out += 32;
  }
}
