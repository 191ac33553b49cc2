// exp and log out of nothing but IEEE additions, multiplications, divisions and square roots: Math.exp and Math.log may differ in their
// last bit between JavaScript engines, and then the same seed would not always give the same text.

// ln 2 in two parts; the high one has 21 trailing zero bits, so that exponent * LN2_HIGH is exact (Cody and Waite).
const LN2_HIGH = 0.6931471803691238;
const LN2_LOW = 1.9082149292705877e-10;
/** Below this, exp is given as 0: no sum over a vocabulary can notice. */
const UNDERFLOW = -700;

/** 2^-1022 … 2^0, at index exponent + 1022. */
const POWERS = Float64Array.from({ length: 1023 }, (_, i) => 2 ** (i - 1022));
/** 2^(i/64), by square roots, which IEEE rounds the same everywhere. */
const ROOTS = new Float64Array(64).fill(1);
for (let bit = 32, root = Math.SQRT2; bit >= 1; bit /= 2, root = Math.sqrt(root)) {
  for (let i = 0; i < 64; i++) if (i & bit) ROOTS[i] = (ROOTS[i] as number) * root;
}

/** e^x for x <= 0, within 1e-13 relative; 0 below -700. NaN stays NaN. */
export function exp(x: number): number {
  if (!(x >= UNDERFLOW)) return x < UNDERFLOW ? 0 : Number.NaN;
  // x = (k / 64) ln 2 + r with |r| <= ln(2) / 128; Taylor's first term left out is below 1e-14.
  const k = (x * (64 * Math.LOG2E) - 0.5) | 0;
  const r = x - k * (LN2_HIGH / 64) - k * (LN2_LOW / 64);
  const p = 1 + r * (1 + r * (1 / 2 + r * (1 / 6 + r * (1 / 24))));
  return p * (ROOTS[k & 63] as number) * (POWERS[(k >> 6) + 1022] as number);
}

const double = new Float64Array(1);
const words = new Uint32Array(double.buffer);

/** The natural logarithm of a positive, normal number, within 1e-15 relative to max(1, |log x|). */
export function log(x: number): number {
  double[0] = x;
  const high = words[1] as number;
  let exponent = (high >>> 20) - 1023;
  words[1] = (high & 0xfffff) | 0x3ff00000;
  let m = double[0];
  if (m > Math.SQRT2) {
    m /= 2;
    exponent++;
  }
  // log m = 2 atanh s, |s| <= 0.172
  const s = (m - 1) / (m + 1);
  const s2 = s * s;
  let sum = 0;
  for (let n = 21; n >= 1; n -= 2) sum = sum * s2 + 1 / n;
  return exponent * LN2_HIGH + (exponent * LN2_LOW + 2 * s * sum);
}
