// Cholesky factors of matrices of a few thousand columns, and triangular inverses: ml-matrix's own take minutes at 1536 columns.
import { type Dense, multiply, partOf, transposed } from "./products.ts";

/** Rows that are factored together: what rows before them take off, and what they are divided by, are products. */
const BLOCK = 64;

/** A matrix that is not positive definite. */
export class NotPositiveError extends Error {
  override readonly name = "NotPositiveError";
}

/**
 * Upper triangular U with U^T U = `matrix`, in place: fp64, row-major `[n, n]`, of which the upper triangle is read.
 * @throws NotPositiveError
 */
export async function cholesky(matrix: Float64Array, n: number): Promise<Float64Array> {
  const all = { rows: n, cols: n, values: matrix };
  for (let first = 0; first < n; first += BLOCK) {
    const end = Math.min(n, first + BLOCK);
    let panel = partOf(all, first, end, first, n);
    if (first > 0) {
      const left = partOf(all, 0, first, first, end);
      for (let i = 0; i < left.values.length; i++) left.values[i] = -(left.values[i] as number);
      const right = partOf(all, 0, first, first, n);
      panel = await multiply(left, right, { transposed: "a", plus: panel.values });
    }
    const diagonal = partOf(panel, 0, end - first, 0, end - first);
    factor(diagonal, first);
    if (end < n) panel = await multiply(invertLower(transposed(diagonal)), panel);
    for (let row = first; row < end; row++) {
      const from = (row - first) * panel.cols;
      matrix.fill(0, row * n, row * n + first);
      matrix.set(panel.values.subarray(from, from + panel.cols), row * n + first);
      matrix.set(
        diagonal.values.subarray((row - first) * diagonal.cols, (row - first + 1) * diagonal.cols),
        row * n + first,
      );
    }
  }
  return matrix;
}

/** The same for a few columns, in place. @param first their place in the whole */
function factor({ rows: n, values }: Dense, first: number): void {
  for (let row = 0; row < n; row++) {
    const at = row * n;
    for (let above = 0; above < row; above++) {
      const from = above * n;
      const share = values[from + row] as number;
      for (let col = row; col < n; col++) (values[at + col] as number) -= share * (values[from + col] as number);
    }
    const pivot = values[at + row] as number;
    if (!(pivot > 0)) throw new NotPositiveError(`column ${first + row} is not independent of those before it`);
    const root = Math.sqrt(pivot);
    for (let col = row; col < n; col++) (values[at + col] as number) /= root;
    values.fill(0, at, at + row);
  }
}

/** Inverse of a lower triangular matrix of a few columns. */
export function invertLower({ rows: n, cols, values }: Dense): Dense {
  const inverse = new Float64Array(n * n);
  for (let row = 0; row < n; row++) {
    const at = row * n;
    for (let k = 0; k < row; k++) {
      const factor = values[at + k] as number;
      for (let col = 0; col <= k; col++) (inverse[at + col] as number) -= factor * (inverse[k * n + col] as number);
    }
    inverse[at + row] = 1;
    const diagonal = values[at + row] as number;
    for (let col = 0; col <= row; col++) (inverse[at + col] as number) /= diagonal;
  }
  return { rows: n, cols, values: inverse };
}
