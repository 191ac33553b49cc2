// Products of dense fp64 matrices, row-major, in the order that reads memory in rows.

/** a b: `[rows, inner]` times `[inner, cols]`. Zeros of a are passed over. */
export function multiply(a: Float64Array, b: Float64Array, rows: number, inner: number, cols: number): Float64Array {
  const out = new Float64Array(rows * cols);
  const strip = stripOf(cols);
  for (let top = 0; top < inner; top += strip) {
    const bottom = Math.min(inner, top + strip);
    for (let row = 0; row < rows; row++) {
      for (let k = top; k < bottom; k++) addScaled(out, row * cols, b, k * cols, cols, a[row * inner + k] as number);
    }
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
  for (let left = 0; left < inner; left += strip) {
    const right = Math.min(inner, left + strip);
    for (let row = 0; row < rows; row++) {
      for (let k = left; k < right; k++) addScaled(out, k * cols, b, row * cols, cols, a[row * inner + k] as number);
    }
  }
  return out;
}

/** Rows of some 128 KiB together, which the cache holds. */
const stripOf = (cols: number): number => Math.max(1, Math.floor(16384 / cols));

function addScaled(
  out: Float64Array,
  to: number,
  values: Float64Array,
  from: number,
  count: number,
  factor: number,
): void {
  if (factor === 0) return;
  for (let i = 0; i < count; i++) (out[to + i] as number) += factor * (values[from + i] as number);
}
