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
export function dots16(count: i32): i32 {
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

/** As `dots16`, summed into 32 bits: one instruction where the processor has VNNI, four elsewhere. */
export function dots32(count: i32): i32 {
  const weights = i8x16.splat(7);
  const x = i8x16.splat(3);
  let a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x;
  for (let i = 0; i < count; i++) {
    a = i32x4.relaxed_dot_i8x16_i7x16_add_s(x, weights, a);
    b = i32x4.relaxed_dot_i8x16_i7x16_add_s(x, weights, b);
    c = i32x4.relaxed_dot_i8x16_i7x16_add_s(x, weights, c);
    d = i32x4.relaxed_dot_i8x16_i7x16_add_s(x, weights, d);
    e = i32x4.relaxed_dot_i8x16_i7x16_add_s(x, weights, e);
    f = i32x4.relaxed_dot_i8x16_i7x16_add_s(x, weights, f);
    g = i32x4.relaxed_dot_i8x16_i7x16_add_s(x, weights, g);
    h = i32x4.relaxed_dot_i8x16_i7x16_add_s(x, weights, h);
  }
  const all = v128.xor(v128.xor(v128.xor(a, b), v128.xor(c, d)), v128.xor(v128.xor(e, f), v128.xor(g, h)));
  return i32x4.extract_lane(all, 0);
}
