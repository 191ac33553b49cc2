// Attention over the KV cache, with grouped queries (Ainslie et al., arXiv 2305.13245). All sums run over absolute positions, so they don't
// depend on what was computed together.
import { mix1, mix3, score1, score3, weigh } from "./attention-page";
import { largest, PAGE_TOKENS } from "./kv";
import { exp4, round4 } from "./math";
import { rotate } from "./rope";

/**
 * Attention of `tokens` tokens from `position` on, each over itself and all before it.
 * @param q fp32 rows of all heads, `qStride` bytes apart; rotated in place
 * @param out fp32 rows, `outStride` bytes apart
 * @param scratch `group` * (2 * dim + 4 * (position + tokens + 31) + 72) bytes
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
