// GPTQ: quantizes column after column and lets the columns that are left make up for each one's error. (Frantar et al., arXiv 2210.17323,
// Algorithm 1)
import type { Matrix } from "../../formats/checkpoint.ts";
import { cholesky, invertLower } from "../linalg/cholesky.ts";
import { multiply, partOf } from "../linalg/products.ts";
import { emptyQuantized, findGrid, type Grid, type GridOptions, type Quantized, roundTo } from "./grid.ts";

export interface GptqOptions extends GridOptions {
  /** Share of the mean of the Hessian's diagonal that is added to it. Default: 0.01, the paper's. */
  readonly damping?: number | undefined;
  /**
   * Columns of large inputs first. Blocks are of neighbouring columns in the stored tensor, so that their grids are then found before any
   * column is changed ("static groups" in GPTQ's reference). Default: false.
   */
  readonly actOrder?: boolean | undefined;
}

/** What the linears that share an input have in common: the columns' order and the factor of the Hessian. */
export interface InputFactor {
  readonly cols: number;
  /** Column that comes i-th. */
  readonly order: Int32Array;
  /** Lower triangular L, `[cols, cols]` in that order, with L^T L the damped Hessian but for rows that are scaled so that its diagonal is 1. */
  readonly lower: Float64Array;
}

/**
 * @param gram sum of x x^T over calibration tokens, `[cols, cols]`
 * @throws NotPositiveError when the damped Hessian is not positive definite
 */
export async function factorInput(
  gram: Float32Array,
  cols: number,
  { damping = 0.01, actOrder = false }: Pick<GptqOptions, "damping" | "actOrder"> = {},
): Promise<InputFactor> {
  const diagonal = Float64Array.from({ length: cols }, (_, i) => gram[i * cols + i] as number);
  const mean = diagonal.reduce((sum, value) => sum + value, 0) / cols;
  const order = Int32Array.from({ length: cols }, (_, i) => i);
  if (actOrder) order.sort((a, b) => (diagonal[b] as number) - (diagonal[a] as number) || a - b);
  // Last column first: the Cholesky factor of that, turned back, is the Hessian's, lower triangular.
  const turned = new Float64Array(cols * cols);
  for (let i = 0; i < cols; i++) {
    const own = order[cols - 1 - i] as number;
    for (let j = 0; j < cols; j++) turned[i * cols + j] = gram[own * cols + (order[cols - 1 - j] as number)] as number;
    // An input that is always 0 says nothing of its weights: they are rounded alone.
    turned[i * cols + i] = (diagonal[own] || mean || 1) + damping * mean;
  }
  const lower = (await cholesky(turned, cols)).reverse();
  for (let j = 0; j < cols; j++) {
    const root = lower[j * cols + j] as number;
    for (let i = 0; i <= j; i++) (lower[j * cols + i] as number) /= root;
  }
  return { cols, order, lower };
}

/**
 * The paper takes U, upper triangular, with U^T U the inverse of the Hessian, and has column i hand e_i U[i, j] / U[i, i] on, where e_i is what
 * it lost with the shares of those before it in it. Here a column takes from the whole losses of those before its block, original weights
 * less quantized ones, by L, which is U's inverse transposed and scaled: the same sums (with d = e U, e = d U^-1), and nothing but blocks on
 * the diagonal has to be inverted.
 * @param matrix `[rows, cols]`, cols a multiple of the block
 */
export async function gptq(matrix: Matrix, input: InputFactor, options: GptqOptions): Promise<Quantized> {
  const { rows, cols } = matrix;
  const { block, actOrder = false } = options;
  const result = emptyQuantized(rows, cols, options);
  const groups = Math.ceil(cols / block);
  // Without an order of its own a batch of columns is a block: its grid is found when all earlier errors have reached it.
  const find: Find = (from, start, row, group) => {
    const grid = findGrid(from, start, Math.min(block, cols - group * block), options);
    result.scales[row * groups + group] = grid.scale;
    result.offsets[row * groups + group] = grid.offset;
    return grid;
  };
  const grids = actOrder
    ? Array.from({ length: rows * groups }, (_, i) => {
        const [row, group] = [Math.floor(i / groups), i % groups];
        return find(matrix.values, row * cols + group * block, row, group);
      })
    : undefined;
  const lower = { rows: cols, cols, values: input.lower };
  // Originals less quantized ones, by columns as they come in order: those of the columns that are done are without gaps.
  const losses = new Float64Array(cols * rows);
  for (let first = 0; first < cols; first += block) {
    const end = Math.min(cols, first + block);
    const inverse = invertLower(partOf(lower, first, end, first, end));
    const factors = first > 0 && (await multiply(inverse, partOf(lower, first, end, 0, first)));
    const done = { rows: first, cols: rows, values: losses.subarray(0, first * rows) };
    const taken = factors ? (await multiply(factors, done)).values : new Float64Array((end - first) * rows);
    const columns = input.order.subarray(first, end);
    const lost = losses.subarray(first * rows, end * rows);
    quantizeColumns({ matrix, columns, block, taken, inverse: inverse.values, lost, codes: result.codes, grids, find });
  }
  return result;
}

type Find = (from: Float32Array, start: number, row: number, group: number) => Grid;

interface Batch {
  readonly matrix: Matrix;
  readonly columns: Int32Array;
  readonly block: number;
  /** What the columns take from those before them, `[columns, rows]`. */
  readonly taken: Float64Array;
  /** What each takes of the error of each before it in the batch, `[columns, columns]`. */
  readonly inverse: Float64Array;
  /** Is filled: originals less quantized ones, `[columns, rows]`. */
  readonly lost: Float64Array;
  /** Are filled, `[rows, cols]`. */
  readonly codes: Uint8Array;
  /** Of all blocks of all rows, or found here. */
  readonly grids: readonly Grid[] | undefined;
  readonly find: Find;
}

/** A function of its own, as loops in one that waits are not compiled as well. */
function quantizeColumns({ matrix, columns, block, taken, inverse, lost, codes, grids, find }: Batch): void {
  const { rows, cols, values } = matrix;
  const groups = Math.ceil(cols / block);
  const count = columns.length;
  const now = new Float32Array(count);
  const errors = new Float64Array(count);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < count; i++) {
      now[i] = (values[row * cols + (columns[i] as number)] as number) + (taken[i * rows + row] as number);
    }
    const own = grids ? undefined : find(now, 0, row, (columns[0] as number) / block);
    for (let i = 0; i < count; i++) {
      const at = row * cols + (columns[i] as number);
      const grid = own ?? (grids?.[row * groups + Math.floor((columns[i] as number) / block)] as Grid);
      const value = (now[i] as number) - dot(errors, inverse, i * count, i);
      const code = roundTo(grid, value);
      const rounded = grid.scale * code + grid.offset;
      codes[at] = code;
      errors[i] = value - rounded;
      lost[i * rows + row] = (values[at] as number) - rounded;
    }
  }
}

/** Sum of the first `count` of a, times those of b from `at` on; in four parts, which do not wait for each other. */
function dot(a: Float64Array, b: Float64Array, at: number, count: number): number {
  let [s, t, u, v] = [0, 0, 0, 0];
  let i = 0;
  for (; i + 3 < count; i += 4) {
    s += (a[i] as number) * (b[at + i] as number);
    t += (a[i + 1] as number) * (b[at + i + 1] as number);
    u += (a[i + 2] as number) * (b[at + i + 2] as number);
    v += (a[i + 3] as number) * (b[at + i + 3] as number);
  }
  for (; i < count; i++) s += (a[i] as number) * (b[at + i] as number);
  return s + t + u + v;
}
