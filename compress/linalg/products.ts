// Products of dense fp64 matrices, row-major, in the order that reads memory in rows.

/** a b: `[rows, inner]` times `[inner, cols]`. */
export function multiply(a: Float64Array, b: Float64Array, rows: number, inner: number, cols: number): Float64Array {
  const out = new Float64Array(rows * cols);
  const strip = stripOf(cols);
  for (let top = 0; top < inner; top += strip) {
    const bottom = Math.min(inner, top + strip);
    for (let row = 0; row < rows; row++) addRows(out, row * cols, a, row * inner, 1, b, cols, top, bottom);
  }
  return out;
}

/** a times a lower triangular matrix: `[rows, n]` times `[n, n]`. */
export function multiplyLower(a: Float64Array, lower: Float64Array, rows: number, n: number): Float64Array {
  const out = new Float64Array(rows * n);
  const strip = stripOf(n);
  for (let top = 0; top < n; top += strip) {
    const bottom = Math.min(n, top + strip);
    for (let row = 0; row < rows; row++) addRows(out, row * n, a, row * n, 1, lower, n, top, bottom, bottom);
  }
  return out;
}

/** a^T b: a `[rows, inner]` transposed, times b `[rows, cols]`: `[inner, cols]`. */
export function multiplyTransposed(
  a: Float64Array,
  b: Float64Array,
  rows: number,
  inner: number,
  cols: number,
): Float64Array {
  const out = new Float64Array(inner * cols);
  const strip = stripOf(cols);
  for (let top = 0; top < rows; top += strip) {
    const bottom = Math.min(rows, top + strip);
    for (let k = 0; k < inner; k++) addRows(out, k * cols, a, k, inner, b, cols, top, bottom);
  }
  return out;
}

/** Rows of some 128 KiB together, which the cache holds. */
const stripOf = (cols: number): number => Math.max(4, Math.floor(16384 / cols));

/** out += sum over k from `top` to `bottom` of factors[from + k step] times row k of b, four rows at a time, `width` columns of it. */
function addRows(
  out: Float64Array,
  to: number,
  factors: Float64Array,
  from: number,
  step: number,
  b: Float64Array,
  cols: number,
  top: number,
  bottom: number,
  width = cols,
): void {
  let k = top;
  for (; k + 3 < bottom; k += 4) {
    const f0 = factors[from + k * step] as number;
    const f1 = factors[from + (k + 1) * step] as number;
    const f2 = factors[from + (k + 2) * step] as number;
    const f3 = factors[from + (k + 3) * step] as number;
    const [b0, b1, b2, b3] = [k * cols, (k + 1) * cols, (k + 2) * cols, (k + 3) * cols];
    for (let i = 0; i < width; i++) {
      (out[to + i] as number) +=
        f0 * (b[b0 + i] as number) +
        f1 * (b[b1 + i] as number) +
        f2 * (b[b2 + i] as number) +
        f3 * (b[b3 + i] as number);
    }
  }
  for (; k < bottom; k++) {
    const factor = factors[from + k * step] as number;
    for (let i = 0; i < width; i++) (out[to + i] as number) += factor * (b[k * cols + i] as number);
  }
}
