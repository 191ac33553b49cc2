// What is asked of logits where they lie: are they numbers, and which are the largest.

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
 * The `k` largest fp32 values, largest first, the lowest index first among equals.
 * @param to `k` times u32 index, fp32 value
 */
export function topK(from: usize, count: i32, k: i32, to: usize): void {
  let have = 0;
  let i = 0;
  let least: f32 = -Infinity;
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
      store<u32>(to + ((<usize>at) << 3), i);
      store<f32>(to + ((<usize>at) << 3), value, 4);
      if (have == k) least = load<f32>(to + ((<usize>(k - 1)) << 3), 4);
    }
  }
}
