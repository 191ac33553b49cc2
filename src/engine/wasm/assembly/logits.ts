// What is asked of logits where they lie: are they numbers, what is their softmax's denominator, and which are the largest.
import { exp4 } from "./math";

/** 1 when all fp32 values are finite. */
export function finite(from: usize, count: i32): i32 {
  // x - x is 0 for a number, NaN for NaN and infinities.
  let sum = f32x4.splat(0);
  const end = from + ((<usize>count) << 2);
  const quads = from + ((<usize>(count & ~3)) << 2);
  for (; from < quads; from += 16) {
    const x = v128.load(from);
    sum = f32x4.add(sum, f32x4.sub(x, x));
  }
  let rest: f32 = 0;
  for (; from < end; from += 4) rest += load<f32>(from) - load<f32>(from);
  return i32(v128.any_true(f32x4.ne(sum, f32x4.splat(0))) ? false : rest == 0);
}

/**
 * Goes on with a row's sum of e^(logit - largest), eight logits at a time, so that it doesn't matter in which slices they come.
 * @param state fp32 largest logit so far, four bytes that it leaves alone, fp64 sum; -Infinity and 0 to begin with
 */
export function sumExp(from: usize, groups: i32, state: usize): void {
  let largest = load<f32>(state);
  let sum = load<f64>(state, 8);
  for (const end = from + ((<usize>groups) << 5); from < end; from += 32) {
    const low = v128.load(from), high = v128.load(from, 16);
    let most = f32x4.max(low, high);
    most = f32x4.max(most, v128.shuffle<i32>(most, most, 2, 3, 0, 1));
    most = f32x4.max(most, v128.shuffle<i32>(most, most, 1, 0, 3, 2));
    if (f32x4.extract_lane(most, 0) > largest) {
      sum *= <f64>f32x4.extract_lane(exp4(f32x4.sub(f32x4.splat(largest), most)), 0);
      largest = f32x4.extract_lane(most, 0);
    }
    const by = f32x4.splat(largest);
    const e = f32x4.add(exp4(f32x4.sub(low, by)), exp4(f32x4.sub(high, by)));
    const pair = f64x2.add(f64x2.promote_low_f32x4(e), f64x2.promote_low_f32x4(v128.shuffle<i32>(e, e, 2, 3, 0, 1)));
    sum += f64x2.extract_lane(pair, 0) + f64x2.extract_lane(pair, 1);
  }
  store<f32>(state, largest);
  store<f64>(state, sum, 8);
}

/**
 * The `k` largest fp32 values, largest first, the lowest index first among equals, of those here and those already listed.
 * @param first index of the first value here; those listed before have lower ones
 * @param have how many are listed so far; returns how many are now
 * @param to `k` times u32 index, fp32 value
 */
export function topK(from: usize, count: i32, k: i32, to: usize, first: i32, have: i32): i32 {
  if (k == 0) return 0;
  let i = 0;
  let least: f32 = have == k ? load<f32>(to + ((<usize>(k - 1)) << 3), 4) : -Infinity;
  while (i < count) {
    if (
      have == k &&
      i + 4 <= count &&
      !v128.any_true(f32x4.gt(v128.load(from + ((<usize>i) << 2)), f32x4.splat(least)))
    ) {
      i += 4;
      continue;
    }
    const stop = min(i + 4, count);
    for (; i < stop; i++) {
      const value = load<f32>(from + ((<usize>i) << 2));
      if (have == k && !(value > least)) continue;
      let at = have < k ? have++ : k - 1;
      while (at > 0 && value > load<f32>(to + ((<usize>(at - 1)) << 3), 4)) {
        store<u64>(to + ((<usize>at) << 3), load<u64>(to + ((<usize>(at - 1)) << 3)));
        at--;
      }
      store<u32>(to + ((<usize>at) << 3), first + i);
      store<f32>(to + ((<usize>at) << 3), value, 4);
      if (have == k) least = load<f32>(to + ((<usize>(k - 1)) << 3), 4);
    }
  }
  return have;
}
