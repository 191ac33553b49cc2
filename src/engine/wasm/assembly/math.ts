// exp, sine and cosine from additions and multiplications alone, so that every machine computes the same bits.

/** Adding this to a number below 2^22 rounds it to an integer, ties to even, which then stands in the lowest bits. */
const ROUNDER: f32 = 12582912;
/** Below this, e^x is given as 0. */
const UNDERFLOW: f32 = -87;

// V8 builds a vector constant anew at every use, in three instructions; a load is one. So constants of inner loops lie in memory.
// ln 2 comes in two parts: the high one has 9 bits, so that its product with an exponent is exact (Cody and Waite).
const TABLE = memory.data<f32>([
  1.44269504, 1.44269504, 1.44269504, 1.44269504,
  ROUNDER, ROUNDER, ROUNDER, ROUNDER,
  0.693359375, 0.693359375, 0.693359375, 0.693359375,
  -2.12194440e-4, -2.12194440e-4, -2.12194440e-4, -2.12194440e-4,
  0.00138888889, 0.00138888889, 0.00138888889, 0.00138888889,
  0.00833333333, 0.00833333333, 0.00833333333, 0.00833333333,
  0.0416666667, 0.0416666667, 0.0416666667, 0.0416666667,
  0.166666667, 0.166666667, 0.166666667, 0.166666667,
  0.5, 0.5, 0.5, 0.5,
  1, 1, 1, 1,
  UNDERFLOW, UNDERFLOW, UNDERFLOW, UNDERFLOW,
], 16);
const INTEGERS = memory.data<i32>([127, 127, 127, 127, 0x4b400000, 0x4b400000, 0x4b400000, 0x4b400000], 16);

/** Four numbers below 2^22 as the nearest integers, ties to even; of NaN some integer. Two instructions where a cast takes eight. */
// @ts-ignore: decorator
@inline
export function round4(x: v128): v128 {
  return i32x4.sub(f32x4.add(x, v128.load(TABLE, 16)), v128.load(INTEGERS, 16));
}

/** e^x of four lanes for x <= 0, within 3 ulp; NaN stays NaN. */
// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  const rounder = v128.load(TABLE, 16);
  const shifted = f32x4.add(f32x4.mul(x, v128.load(TABLE)), rounder);
  const k = f32x4.sub(shifted, rounder);
  const r = f32x4.sub(f32x4.sub(x, f32x4.mul(k, v128.load(TABLE, 32))), f32x4.mul(k, v128.load(TABLE, 48)));
  // Taylor to r^6: |r| <= ln(2)/2, so the first term left out is below 1.2e-7.
  const one = v128.load(TABLE, 144);
  let p = f32x4.add(f32x4.mul(r, v128.load(TABLE, 64)), v128.load(TABLE, 80));
  p = f32x4.add(f32x4.mul(p, r), v128.load(TABLE, 96));
  p = f32x4.add(f32x4.mul(p, r), v128.load(TABLE, 112));
  p = f32x4.add(f32x4.mul(p, r), v128.load(TABLE, 128));
  p = f32x4.add(f32x4.mul(p, r), one);
  p = f32x4.add(f32x4.mul(p, r), one);
  const power = i32x4.shl(i32x4.add(shifted, v128.load(INTEGERS)), 23);
  return v128.andnot(f32x4.mul(p, power), f32x4.lt(x, v128.load(TABLE, 160)));
}

// pi/2 in three parts, the first two of 33 bits (fdlibm's e_rem_pio2): exact for the angles of any context length.
const PIO2_1: f64 = 1.57079632673412561417;
const PIO2_2: f64 = 6.07710050630396597660e-11;
const PIO2_3: f64 = 2.02226624879595063154e-21;

/** Stores cos(angle) and sin(angle) as fp32, for 0 <= angle < 2^20. */
export function storeCosSin(angle: f64, cosTo: usize, sinTo: usize): void {
  const quarter = Math.floor(angle * 0.63661977236758134308 + 0.5);
  const r = angle - quarter * PIO2_1 - quarter * PIO2_2 - quarter * PIO2_3;
  const r2 = r * r;
  // Taylor on |r| <= pi/4: the first terms left out are below 1e-13.
  const sin = r * (1 + r2 * (-1.0 / 6 + r2 * (1.0 / 120 + r2 * (-1.0 / 5040 + r2 * (1.0 / 362880 + r2 * (-1.0 / 39916800 + r2 / 6227020800))))));
  const cos = 1 + r2 * (-0.5 + r2 * (1.0 / 24 + r2 * (-1.0 / 720 + r2 * (1.0 / 40320 + r2 * (-1.0 / 3628800 + r2 * (1.0 / 479001600 - r2 / 87178291200))))));
  const quadrant = <i32>quarter & 3;
  const odd = (quadrant & 1) != 0;
  const c = odd ? sin : cos;
  const s = odd ? cos : sin;
  store<f32>(cosTo, <f32>(quadrant == 1 || quadrant == 2 ? -c : c));
  store<f32>(sinTo, <f32>(quadrant >= 2 ? -s : s));
}
