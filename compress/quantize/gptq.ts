// GPTQ: quantizes column after column and lets the columns that are left make up for each one's error. (Frantar et al., arXiv 2210.17323,
// Algorithm 1)
import type { Matrix } from "../checkpoint.ts";
import { inverseFactor } from "../linalg/cholesky.ts";
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

/** Columns whose errors reach the columns beyond them together ("lazy batch updates"). */
const BATCH = 64;

/** What the linears that share an input have in common: the columns' order and the factor of the inverse Hessian. */
export interface InputFactor {
  readonly cols: number;
  /** Column that comes i-th. */
  readonly order: Int32Array;
  /** Upper triangular U, `[cols, cols]` in that order, with U^T U the inverse of the damped Hessian. */
  readonly upper: Float32Array;
}

/**
 * @param gram sum of x x^T over calibration tokens, `[cols, cols]`
 * @throws NotPositiveError when the damped Hessian is not positive definite
 */
export function factorInput(
  gram: Float32Array,
  cols: number,
  { damping = 0.01, actOrder = false }: Pick<GptqOptions, "damping" | "actOrder"> = {},
): InputFactor {
  const diagonal = Float64Array.from({ length: cols }, (_, i) => gram[i * cols + i] as number);
  const mean = diagonal.reduce((sum, value) => sum + value, 0) / cols;
  const order = Int32Array.from({ length: cols }, (_, i) => i);
  if (actOrder) order.sort((a, b) => (diagonal[b] as number) - (diagonal[a] as number) || a - b);
  const hessian = new Float64Array(cols * cols);
  for (let i = 0; i < cols; i++) {
    const row = (order[i] as number) * cols;
    for (let j = 0; j < cols; j++) hessian[i * cols + j] = gram[row + (order[j] as number)] as number;
    // An input that is always 0 says nothing of its weights: they are rounded alone.
    const own = diagonal[order[i] as number] as number;
    hessian[i * cols + i] = (own === 0 ? mean || 1 : own) + damping * mean;
  }
  return { cols, order, upper: Float32Array.from(inverseFactor(hessian, cols)) };
}

/** @param matrix `[rows, cols]`, cols a multiple of the block */
export function gptq({ rows, cols, values }: Matrix, input: InputFactor, options: GptqOptions): Quantized {
  const { block, actOrder = false } = options;
  const { order, upper } = input;
  const result = emptyQuantized(rows, cols, options);
  const groups = Math.ceil(cols / block);
  const work = new Float32Array(rows * cols);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < cols; i++) work[row * cols + i] = values[row * cols + (order[i] as number)] as number;
  }
  const grids: Grid[] = Array.from({ length: rows * groups });
  const setGrid = (from: Float32Array, row: number, group: number): void => {
    const grid = findGrid(from, row * cols + group * block, Math.min(block, cols - group * block), options);
    grids[row * groups + group] = grid;
    result.scales[row * groups + group] = grid.scale;
    result.offsets[row * groups + group] = grid.offset;
  };
  if (actOrder) for (let i = 0; i < rows * groups; i++) setGrid(values, Math.floor(i / groups), i % groups);

  const errors = new Float32Array(rows * BATCH);
  for (let first = 0; first < cols; first += BATCH) {
    const end = Math.min(cols, first + BATCH);
    for (let row = 0; row < rows; row++) {
      const at = row * cols;
      for (let i = first; i < end; i++) {
        const col = order[i] as number;
        const group = Math.floor(col / block);
        // Batches begin where blocks do: all of a block's columns have their earlier errors by now.
        if (!actOrder && i % block === 0) setGrid(work, row, group);
        const grid = grids[row * groups + group] as Grid;
        const code = roundTo(grid, work[at + i] as number);
        result.codes[at + col] = code;
        const rounded = grid.scale * code + grid.offset;
        const error = ((work[at + i] as number) - rounded) / (upper[i * cols + i] as number);
        errors[row * BATCH + i - first] = error;
        for (let j = i + 1; j < end; j++) (work[at + j] as number) -= error * (upper[i * cols + j] as number);
      }
    }
    spread(work, errors, upper, rows, cols, first, end);
  }
  return result;
}

/** Columns that one pass of `spread` works on, so that their part of the factor stays in the cache. */
const STRIP = 256;

/** work[row, j] -= sum over i of errors[row, i] upper[i, j], for all j beyond the batch. */
function spread(
  work: Float32Array,
  errors: Float32Array,
  upper: Float32Array,
  rows: number,
  cols: number,
  first: number,
  end: number,
): void {
  for (let left = end; left < cols; left += STRIP) {
    const right = Math.min(cols, left + STRIP);
    for (let row = 0; row < rows; row++) {
      const at = row * cols;
      let i = first;
      for (; i + 3 < end; i += 4) {
        const from = row * BATCH + i - first;
        const [a, b, c, d] = [errors[from], errors[from + 1], errors[from + 2], errors[from + 3]] as number[];
        const u = i * cols;
        for (let j = left; j < right; j++) {
          (work[at + j] as number) -=
            (a as number) * (upper[u + j] as number) +
            (b as number) * (upper[u + cols + j] as number) +
            (c as number) * (upper[u + 2 * cols + j] as number) +
            (d as number) * (upper[u + 3 * cols + j] as number);
        }
      }
      for (; i < end; i++) {
        const error = errors[row * BATCH + i - first] as number;
        for (let j = left; j < right; j++) (work[at + j] as number) -= error * (upper[i * cols + j] as number);
      }
    }
  }
}
