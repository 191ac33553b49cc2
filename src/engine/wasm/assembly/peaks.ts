// For measurements only: what the machine could do at most. Compiled on its own, not part of the engine's kernels.
import { dotAdd } from "./dot";

/** Sums all bytes of a region: as fast as one core can read memory. */
export function read(from: usize, bytes: usize): i64 {
  let a = i64x2.splat(0), b = i64x2.splat(0), c = i64x2.splat(0), d = i64x2.splat(0);
  for (const end = from + bytes; from < end; from += 64) {
    a = i64x2.add(a, v128.load(from));
    b = i64x2.add(b, v128.load(from, 16));
    c = i64x2.add(c, v128.load(from, 32));
    d = i64x2.add(d, v128.load(from, 48));
  }
  a = i64x2.add(i64x2.add(a, b), i64x2.add(c, d));
  return i64x2.extract_lane(a, 0) + i64x2.extract_lane(a, 1);
}

/** `count` times eight products of the kind that the matrix kernels are made of, on registers: 256 operations. */
export function dots(count: i32): i32 {
  const weights = i8x16.splat(7);
  let x = i8x16.splat(3);
  let a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x;
  for (let i = 0; i < count; i++) {
    a = dotAdd(a, weights, x);
    b = dotAdd(b, weights, a);
    c = dotAdd(c, weights, x);
    d = dotAdd(d, weights, c);
    e = dotAdd(e, weights, x);
    f = dotAdd(f, weights, e);
    g = dotAdd(g, weights, x);
    h = dotAdd(h, weights, g);
  }
  x = v128.xor(v128.xor(v128.xor(a, b), v128.xor(c, d)), v128.xor(v128.xor(e, f), v128.xor(g, h)));
  return i32x4.extract_lane(x, 0);
}
