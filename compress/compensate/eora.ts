// EoRA: the low-rank correction of a compressed linear that best restores its outputs. (Liu et al., arXiv 2410.21271, Algorithm 1)
import { EigenvalueDecomposition, Matrix as MlMatrix } from "ml-matrix";
import type { Matrix } from "../../formats/checkpoint.ts";
import { cholesky, invertLower } from "../linalg/cholesky.ts";
import { type Dense, multiply, transposed } from "../linalg/products.ts";
import { seededNormals } from "./random.ts";

export interface LowRank {
  readonly rank: number;
  /** `[rank, cols]` */
  readonly a: Float32Array;
  /** `[rows, rank]` */
  readonly b: Float32Array;
}

/** Share of the mean of the Gram matrix's diagonal that is added to it, so that it has a factor. */
const DAMPING = 1e-3;
/** Columns beyond the rank that the subspace has, and how often it is multiplied through: errors of quantization have flat spectra. */
const OVERSAMPLING = 16;
const ITERATIONS = 5;

/**
 * Upper triangular U with U^T U the damped Gram matrix of the inputs. EoRA projects on the Gram matrix's eigenvectors, scaled by the roots of
 * its eigenvalues, S = Q Λ^(1/2). ||D X||_F = ||D S||_F = ||D U^T||_F for every S with S S^T = X X^T, and all those differ by a rotation on
 * the right, which no singular value sees: the Cholesky factor has the same optimum, and is solved in place of an eigenproblem.
 * @param gram `[cols, cols]`
 */
export async function inputRoot(gram: Float32Array, cols: number): Promise<Float64Array> {
  const matrix = new Float64Array(gram);
  let trace = 0;
  for (let i = 0; i < cols; i++) trace += matrix[i * cols + i] as number;
  for (let i = 0; i < cols; i++) (matrix[i * cols + i] as number) += trace > 0 ? (DAMPING * trace) / cols : 1;
  return cholesky(matrix, cols);
}

/**
 * B A of rank r that minimizes ||(residual - B A) U^T||_F: the r largest singular triplets of residual U^T, by randomized subspace iteration
 * (Halko et al., arXiv 0909.4061, Algorithm 4.4; here made orthonormal once in a round instead of twice). A basis is held as rows.
 * @param matrix the residual, original weights less compressed ones, `[rows, cols]`
 * @param root U, `[cols, cols]`
 */
export async function eora(matrix: Matrix, root: Float64Array, rank: number, seed: number): Promise<LowRank> {
  const { rows, cols } = matrix;
  const residual = { rows, cols, values: new Float64Array(matrix.values) };
  const weighted = await multiply(residual, { rows: cols, cols, values: root }, { transposed: "b" });
  const width = Math.min(rank + OVERSAMPLING, rows, cols);
  let inputs: Dense = { rows: width, cols, values: seededNormals(seed, cols * width) };
  let basis: Dense;
  for (let i = 0; ; i++) {
    basis = await orthonormal(await multiply(inputs, weighted, { transposed: "b" }));
    inputs = await multiply(basis, weighted);
    if (i === ITERATIONS) break;
  }
  // basis weighted: its left singular vectors are the eigenvectors of its product with itself.
  const square = await multiply(inputs, inputs, { transposed: "b" });
  const { eigenvectorMatrix } = new EigenvalueDecomposition(MlMatrix.from1DArray(width, width, square.values), {
    assumeSymmetric: true,
  });
  // Eigenvalues ascend: the last `rank` are wanted, largest first.
  const chosen = { rows: rank, cols: width, values: new Float64Array(rank * width) };
  for (let r = 0; r < rank; r++) {
    for (let i = 0; i < width; i++) chosen.values[r * width + i] = eigenvectorMatrix.get(i, width - 1 - r);
  }
  const outputs = await multiply(chosen, basis);
  // B^T residual is already B^T (residual U^T) U^-T: no system has to be solved.
  const a = await multiply(outputs, residual);
  const b = new Float32Array(rows * rank);
  for (let row = 0; row < rows; row++) {
    for (let r = 0; r < rank; r++) b[row * rank + r] = outputs.values[r * rows + row] as number;
  }
  return balanced({ rank, a: new Float32Array(a.values), b }, rows, cols);
}

/** Gives both factors of each component the same norm, so that they keep their precision when they are quantized together. */
function balanced({ rank, a, b }: LowRank, rows: number, cols: number): LowRank {
  for (let r = 0; r < rank; r++) {
    let [squareA, squareB] = [0, 0];
    for (let col = 0; col < cols; col++) squareA += (a[r * cols + col] as number) ** 2;
    for (let row = 0; row < rows; row++) squareB += (b[row * rank + r] as number) ** 2;
    const factor = squareA > 0 && squareB > 0 ? (squareB / squareA) ** 0.25 : 1;
    for (let col = 0; col < cols; col++) (a[r * cols + col] as number) *= factor;
    for (let row = 0; row < rows; row++) (b[row * rank + r] as number) /= factor;
  }
  return { rank, a, b };
}

/**
 * Share of the summed squares that is added to each row's, lest a row that depends on others have no factor: what is left of such a row is
 * rounding, and stays small.
 */
const SHIFT = 1e-14;

/** Rows that span what the given ones do and are orthonormal: shifted Cholesky QR, twice for precision (Fukaya et al., arXiv 1809.11085). */
async function orthonormal(basis: Dense): Promise<Dense> {
  let rows = basis;
  for (let pass = 0; pass < 2; pass++) {
    const { values, cols: width } = await multiply(rows, rows, { transposed: "b" });
    let trace = 0;
    for (let i = 0; i < width; i++) trace += values[i * width + i] as number;
    for (let i = 0; i < width; i++) (values[i * width + i] as number) += SHIFT * trace;
    const upper = { rows: width, cols: width, values: await cholesky(values, width) };
    rows = await multiply(invertLower(transposed(upper)), rows);
  }
  return rows;
}
