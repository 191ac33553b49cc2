// EoRA: the low-rank correction of a compressed linear that best restores its outputs. (Liu et al., arXiv 2410.21271, Algorithm 1)
import { EigenvalueDecomposition, Matrix as MlMatrix, QrDecomposition } from "ml-matrix";
import type { Matrix } from "../checkpoint.ts";
import { cholesky } from "../linalg/cholesky.ts";
import { multiply, multiplyLower, multiplyTransposed } from "../linalg/products.ts";
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
 * Lower triangular L with L L^T the damped Gram matrix of the inputs. EoRA projects on the Gram matrix's eigenvectors, scaled by the roots of
 * its eigenvalues, S = Q Λ^(1/2). ||D X||_F = ||D S||_F = ||D L||_F for every S with S S^T = X X^T, and all those differ by a rotation on
 * the right, which no singular value sees: the Cholesky factor has the same optimum, and is solved in place of an eigenproblem.
 * @param gram `[cols, cols]`
 */
export function inputRoot(gram: Float32Array, cols: number): Float64Array {
  const matrix = Float64Array.from(gram);
  let trace = 0;
  for (let i = 0; i < cols; i++) trace += matrix[i * cols + i] as number;
  for (let i = 0; i < cols; i++) (matrix[i * cols + i] as number) += trace > 0 ? (DAMPING * trace) / cols : 1;
  return cholesky(matrix, cols);
}

/**
 * B A of rank r that minimizes ||(residual - B A) L||_F: the r largest singular triplets of residual L, by randomized subspace iteration
 * (Halko et al., arXiv 0909.4061, Algorithm 4.4; here made orthonormal once in a round instead of twice).
 * @param residual original weights less compressed ones, `[rows, cols]`
 * @param root L, `[cols, cols]`
 */
export function eora({ rows, cols, values }: Matrix, root: Float64Array, rank: number, seed: number): LowRank {
  const weighted = multiplyLower(Float64Array.from(values), root, rows, cols);
  const width = Math.min(rank + OVERSAMPLING, rows, cols);
  let basis = orthonormal(multiply(weighted, seededNormals(seed, cols * width), rows, cols, width), rows, width);
  for (let i = 0; i < ITERATIONS; i++) {
    const back = multiplyTransposed(weighted, basis, rows, cols, width);
    basis = orthonormal(multiply(weighted, back, rows, cols, width), rows, width);
  }
  // small = basis^T weighted, transposed: [cols, width]. Its left singular vectors come from the eigenvectors of small^T small.
  const small = multiplyTransposed(weighted, basis, rows, cols, width);
  const square = multiplyTransposed(small, small, cols, width, width);
  const { eigenvectorMatrix } = new EigenvalueDecomposition(MlMatrix.from1DArray(width, width, square), {
    assumeSymmetric: true,
  });
  // Eigenvalues ascend: the last `rank` are wanted, largest first.
  const chosen = new Float64Array(width * rank);
  for (let i = 0; i < width; i++) {
    for (let r = 0; r < rank; r++) chosen[i * rank + r] = eigenvectorMatrix.get(i, width - 1 - r);
  }
  const b = multiply(basis, chosen, rows, width, rank);
  // B^T residual is already B^T (residual L) L^-1: no system has to be solved.
  const a = multiplyTransposed(b, Float64Array.from(values), rows, rank, cols);
  return balanced({ rank, a: Float32Array.from(a), b: Float32Array.from(b) }, rows, cols);
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

function orthonormal(values: Float64Array, rows: number, cols: number): Float64Array {
  const q = new QrDecomposition(MlMatrix.from1DArray(rows, cols, values)).orthogonalMatrix;
  return Float64Array.from(q.to1DArray());
}
