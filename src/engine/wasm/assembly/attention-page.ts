// One page's part in attention: scores of queries against its keys, and its values mixed by their weights. The layout is in kv.ts.
import { round4 } from "./math";

/** Four bf16 scales as fp32. */
// @ts-ignore: decorator
@inline
function scales4(from: usize): v128 {
  return i32x4.shl(v128.load_ext<u16>(from), 16);
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
export function score3(page: usize, dim: i32, queries: usize, factors: usize, to: usize, rowBytes: usize): void {
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

export function score1(page: usize, dim: i32, query: usize, factor: usize, to: usize): void {
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

/** Probabilities of a page times the scales of V, as i16; returns the largest, which stands for 32767. */
export function weigh(probabilities: usize, scales: usize, to: usize): f32 {
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
export function mix3(page: usize, dim: i32, pairs: i32, weights: usize, factors: usize, out: usize): void {
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

export function mix1(page: usize, dim: i32, pairs: i32, weights: usize, factor: usize, out: usize): void {
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
