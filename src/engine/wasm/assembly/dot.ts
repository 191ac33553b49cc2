// The product that the four-bit matrix kernels are made of, and the half-precision decoder that all matrix kernels share.

/** Only fp16's 15 value bits and its sign, moved to where fp32 has them: the value times 2^-112, subnormals included. */
const HALF_BITS: i32 = 0x8fffe000;

/**
 * Adds to eight i16 lanes the products of sixteen weights (0 … 15) and sixteen activations (i8), two neighbours a lane. Exact: the relaxed
 * instruction is defined the same everywhere while the weights are below 128 and a pair stays within i16; eight calls fit one sum.
 */
// @ts-ignore: decorator
@inline
export function dotAdd(sum: v128, weights: v128, activations: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.add(sum, v128.relaxed_dot<i16>(activations, weights));
  const even = i16x8.mul(v128.and(weights, i16x8.splat(0xff)), i16x8.shr_s(i16x8.shl(activations, 8), 8));
  const odd = i16x8.mul(i16x8.shr_u(weights, 8), i16x8.shr_s(activations, 8));
  return i16x8.add(sum, i16x8.add(even, odd));
}

/** Four halves as fp32, each times 2^-112. */
// @ts-ignore: decorator
@inline
export function halves(from: usize): v128 {
  return v128.and(i32x4.shl(v128.load_ext<i16>(from), 13), i32x4.splat(HALF_BITS));
}

/** What undoes `halves` when one factor carries it; activation scales carry half of it and results the other, so that nothing overflows. */
export const HALF_SCALE: f32 = reinterpret<f32>((127 + 112) << 23);
export const ROOT_HALF_SCALE: f32 = reinterpret<f32>((127 + 56) << 23);
