// Cholesky factors and triangular inverses of matrices of a few thousand columns, in tiles that stay in the cache. ml-matrix's own take
// minutes at 1536 columns. All matrices are fp64, row-major `[n, n]`.

const TILE = 48;

/** A matrix that is not positive definite. */
export class NotPositiveError extends Error {
  override readonly name = "NotPositiveError";
}

/**
 * Lower triangular L with L L^T = `matrix`, in place; what is above the diagonal becomes 0. Left-looking in tiles of columns.
 * @throws NotPositiveError
 */
export function cholesky(matrix: Float64Array, n: number): Float64Array {
  for (let first = 0; first < n; first += TILE) {
    const end = Math.min(n, first + TILE);
    // The columns left of the tile, taken off all that is below, a tile of them at a time.
    for (let done = 0; done < first; done += TILE) {
      subtractProducts(matrix, n, first, n, first, end, done, Math.min(first, done + TILE));
    }
    for (let col = first; col < end; col++) {
      const diagonal = (matrix[col * n + col] as number) - squares(matrix, col * n + first, col - first);
      if (!(diagonal > 0)) throw new NotPositiveError(`column ${col} is not independent of those before it`);
      const root = Math.sqrt(diagonal);
      matrix[col * n + col] = root;
      for (let row = col + 1; row < n; row++) {
        const at = row * n + col;
        let sum = matrix[at] as number;
        for (let k = first; k < col; k++) sum -= (matrix[row * n + k] as number) * (matrix[col * n + k] as number);
        matrix[at] = sum / root;
      }
    }
  }
  for (let row = 0; row < n; row++) matrix.fill(0, row * n + row + 1, row * n + n);
  return matrix;
}

/** matrix[i, j] -= sum over k of matrix[i, k] matrix[j, k], for rows i from `top` on (j at most i), two by two. */
function subtractProducts(
  m: Float64Array,
  n: number,
  top: number,
  bottom: number,
  left: number,
  right: number,
  from: number,
  to: number,
): void {
  for (let i = top; i < bottom; i++) {
    const most = Math.min(right, i + 1);
    const a = i * n;
    let j = left;
    for (; j + 3 < most; j += 4) {
      const [b, c, d, e] = [j * n, j * n + n, j * n + 2 * n, j * n + 3 * n];
      let [s, t, u, v] = [0, 0, 0, 0];
      for (let k = from; k < to; k++) {
        const x = m[a + k] as number;
        s += x * (m[b + k] as number);
        t += x * (m[c + k] as number);
        u += x * (m[d + k] as number);
        v += x * (m[e + k] as number);
      }
      (m[a + j] as number) -= s;
      (m[a + j + 1] as number) -= t;
      (m[a + j + 2] as number) -= u;
      (m[a + j + 3] as number) -= v;
    }
    for (; j < most; j++) {
      let s = 0;
      for (let k = from; k < to; k++) s += (m[a + k] as number) * (m[j * n + k] as number);
      (m[a + j] as number) -= s;
    }
  }
}

function squares(values: Float64Array, start: number, count: number): number {
  let sum = 0;
  for (let i = start; i < start + count; i++) sum += (values[i] as number) ** 2;
  return sum;
}

/**
 * Upper triangular U with U^T U = inverse of `matrix`, as GPTQ needs it (arXiv 2210.17323, "Step 3: Cholesky Reformulation"). With the rows
 * and columns of `matrix` turned round, L L^T of it is, turned back, R R^T with R upper triangular; U is the inverse of R.
 * @throws NotPositiveError
 */
export function inverseFactor(matrix: Float64Array, n: number): Float64Array {
  const turned = new Float64Array(n * n);
  for (let i = 0; i < n * n; i++) turned[i] = matrix[n * n - 1 - i] as number;
  const lower = invertLower(cholesky(turned, n), n);
  const upper = turned;
  for (let i = 0; i < n * n; i++) upper[i] = lower[n * n - 1 - i] as number;
  return upper;
}

/** Inverse of a lower triangular matrix: row i of it is (e_i - sum over k < i of L[i, k] row k) / L[i, i]. */
function invertLower(lower: Float64Array, n: number): Float64Array {
  const inverse = new Float64Array(n * n);
  for (let first = 0; first < n; first += TILE) {
    const end = Math.min(n, first + TILE);
    // Rows of earlier tiles, which are finished, go into all rows of this one while they are in the cache.
    for (let k = 0; k < first; k++) {
      for (let row = first; row < end; row++) subtractRow(inverse, row * n, k * n, k + 1, lower[row * n + k] as number);
    }
    for (let row = first; row < end; row++) {
      for (let k = first; k < row; k++) subtractRow(inverse, row * n, k * n, k + 1, lower[row * n + k] as number);
      const diagonal = lower[row * n + row] as number;
      for (let col = 0; col < row; col++) (inverse[row * n + col] as number) /= diagonal;
      inverse[row * n + row] = 1 / diagonal;
    }
  }
  return inverse;
}

function subtractRow(values: Float64Array, to: number, from: number, count: number, factor: number): void {
  for (let i = 0; i < count; i++) (values[to + i] as number) -= factor * (values[from + i] as number);
}
