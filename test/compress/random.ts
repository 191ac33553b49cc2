// Small random matrices for tests of the methods on matrices.
import { mulberry32 } from "../../evaluation/random.ts";
import type { Matrix } from "../../formats/checkpoint.ts";

/** Uniform numbers from -1 to 1. */
export function randomNumbers(seed: number): () => number {
  const uniform = mulberry32(seed);
  return () => 2 * uniform() - 1;
}

export function randomMatrix(rows: number, cols: number, seed: number): Matrix {
  const next = randomNumbers(seed);
  return { rows, cols, values: Float32Array.from({ length: rows * cols }, () => next() + next() * next()) };
}

/** Inputs `[tokens, cols]` that are correlated: a mix of fewer sources, of unequal size, plus noise. */
export function correlatedInputs(tokens: number, cols: number, seed: number): Matrix {
  const sources = Math.ceil(cols / 4);
  const mix = randomMatrix(sources, cols, seed + 1).values;
  const signals = randomMatrix(tokens, sources, seed + 2).values;
  const noise = randomMatrix(tokens, cols, seed + 3).values;
  const values = new Float32Array(tokens * cols);
  for (let t = 0; t < tokens; t++) {
    for (let c = 0; c < cols; c++) {
      let sum = 0.1 * (noise[t * cols + c] as number);
      for (let s = 0; s < sources; s++) {
        sum += (((signals[t * sources + s] as number) * (s + 1)) / sources) * (mix[s * cols + c] as number);
      }
      values[t * cols + c] = sum;
    }
  }
  return { rows: tokens, cols, values };
}

/** Sum of x x^T over rows x, `[cols, cols]`. */
export function gramOf({ rows, cols, values }: Matrix): Float32Array {
  const gram = new Float64Array(cols * cols);
  for (let t = 0; t < rows; t++) {
    for (let i = 0; i < cols; i++) {
      for (let j = 0; j < cols; j++) {
        (gram[i * cols + j] as number) += (values[t * cols + i] as number) * (values[t * cols + j] as number);
      }
    }
  }
  return Float32Array.from(gram);
}

/** trace(D H D^T) of D = a - b: the summed squared error of the linear's outputs. */
export function outputError(a: Float32Array, b: Float32Array, rows: number, cols: number, gram: Float32Array): number {
  let error = 0;
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < cols; i++) {
      const di = (a[r * cols + i] as number) - (b[r * cols + i] as number);
      for (let j = 0; j < cols; j++) {
        error += di * (gram[i * cols + j] as number) * ((a[r * cols + j] as number) - (b[r * cols + j] as number));
      }
    }
  }
  return error;
}
