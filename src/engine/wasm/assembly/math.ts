// exp, sine and cosine from additions and multiplications alone, so that every machine computes the same bits.

const LOG2_E: f32 = 1.44269504;
// ln 2 in two parts: the high one has 9 bits, so that its product with an exponent is exact (Cody and Waite).
const LN2_HIGH: f32 = 0.693359375;
const LN2_LOW: f32 = -2.12194440e-4;
/** Below this, e^x is given as 0. */
const UNDERFLOW: f32 = -87.0;

/** e^x of four lanes for x <= 0, within 2 ulp. */
// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  const k = f32x4.nearest(f32x4.mul(x, f32x4.splat(LOG2_E)));
  const r = f32x4.sub(f32x4.sub(x, f32x4.mul(k, f32x4.splat(LN2_HIGH))), f32x4.mul(k, f32x4.splat(LN2_LOW)));
  // Taylor to r^7: |r| <= ln(2)/2, so the first term left out is below 1e-8.
  let p = f32x4.add(f32x4.mul(r, f32x4.splat(1.0 / 5040)), f32x4.splat(1.0 / 720));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0 / 120));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0 / 24));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0 / 6));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(0.5));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0));
  const power = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(k), i32x4.splat(127)), 23);
  // NaN is not below the limit, so it stays.
  return v128.andnot(f32x4.mul(p, power), f32x4.lt(x, f32x4.splat(UNDERFLOW)));
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
