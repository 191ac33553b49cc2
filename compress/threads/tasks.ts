// What threads compute: the methods on matrices that take seconds a layer.
import type { Matrix } from "../checkpoint.ts";
import { eora, inputRoot, type LowRank } from "../compensate/eora.ts";
import { factorInput, type GptqOptions, gptq } from "../quantize/gptq.ts";
import type { Quantized } from "../quantize/grid.ts";

/** Linears that share an input, and its Gram matrix `[cols, cols]`. */
interface Shared {
  readonly gram: Float32Array;
  readonly cols: number;
  readonly matrices: readonly Matrix[];
}

export const TASKS = {
  gptq({ gram, cols, matrices, options }: Shared & { readonly options: GptqOptions }): Quantized[] {
    const factor = factorInput(gram, cols, options);
    return matrices.map((matrix) => gptq(matrix, factor, options));
  },
  eora({ gram, cols, matrices, rank, seed }: Shared & { readonly rank: number; readonly seed: number }): LowRank[] {
    const root = inputRoot(gram, cols);
    return matrices.map((matrix, i) => eora(matrix, root, Math.min(rank, matrix.rows, cols), seed + i));
  },
};

export type TaskName = keyof typeof TASKS;
export type TaskArgument<Name extends TaskName> = Parameters<(typeof TASKS)[Name]>[0];
export type TaskResult<Name extends TaskName> = ReturnType<(typeof TASKS)[Name]>;
