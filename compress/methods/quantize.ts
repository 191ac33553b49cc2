// Quantizes a layer's linears, and the output head: by rounding, or by GPTQ where there are moments of their inputs.

import { linearOf, linearsOf, tensorName } from "../apply/linears.ts";
import type { InputMoments, LayerResult } from "../apply/walk.ts";
import type { ChangedTensor } from "../artifact.ts";
import type { Matrix } from "../checkpoint.ts";
import { UserError } from "../error.ts";
import type { LayerWeights } from "../forward/layer-weights.ts";
import { INPUTS } from "../moments.ts";
import { toTensor } from "../quantize/containers.ts";
import type { GptqOptions } from "../quantize/gptq.ts";
import type { Quantized } from "../quantize/grid.ts";
import { roundToNearest } from "../quantize/rtn.ts";
import type { Pool } from "../threads/pool.ts";

/** The type that a linear's codes travel in. */
const container = ({ bits }: GptqOptions): "q4_1" | "q8_0" => (bits === 8 ? "q8_0" : "q4_1");

/** Gives back what `make` does, with an error's tensor named. */
export function named<T>(name: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof RangeError) throw new UserError(`${name}: ${error.message}`);
    throw error;
  }
}

export function checkColumns(name: string, { cols }: Matrix, { block }: GptqOptions): void {
  if (cols % block > 0) {
    throw new UserError(`${name} has ${cols} columns, which blocks of ${block} do not fill: choose another --block`);
  }
}

/** Every linear of a layer, rounded to nearest. */
export function roundLayer(layer: number, weights: LayerWeights, options: GptqOptions): LayerResult {
  const tensors = INPUTS.flatMap(linearsOf).flatMap((linear): ChangedTensor[] => {
    const matrix = linearOf(weights, linear);
    if (!matrix) return [];
    const name = tensorName(layer, linear);
    checkColumns(name, matrix, options);
    return [named(name, () => toTensor(name, roundToNearest(matrix, options), container(options)))];
  });
  return { tensors };
}

/** Every linear of a layer by GPTQ, those that share an input in one task. */
export async function gptqLayer(
  layer: number,
  weights: LayerWeights,
  moments: InputMoments,
  options: GptqOptions,
  pool: Pool,
): Promise<LayerResult> {
  // The widest input first: it takes as long as all the others.
  const tasks = [...INPUTS].reverse().map(async (input): Promise<ChangedTensor[]> => {
    const present = linearsOf(input).flatMap((linear) => {
      const matrix = linearOf(weights, linear);
      return matrix ? [{ name: tensorName(layer, linear), matrix }] : [];
    });
    const known = moments.get(input);
    if (present.length === 0 || !known?.gram) return [];
    for (const { name, matrix } of present) checkColumns(name, matrix, options);
    const matrices = present.map(({ matrix }) => matrix);
    const where = present.map(({ name }) => name).join(", ");
    const quantized = await pool
      .run("gptq", { gram: known.gram, cols: known.cols, matrices, options })
      .catch((error) => {
        if (error instanceof RangeError) throw new UserError(`${where}: ${error.message}`);
        throw error;
      });
    return present.map(({ name }, i) => toTensor(name, quantized[i] as Quantized, container(options)));
  });
  return { tensors: (await Promise.all(tasks)).reverse().flat() };
}

/** Rows of the head that one task takes. */
const HEAD_ROWS = 8192;

/**
 * The output head, or the embedding that is also the head. The engine reads both as Q8_0, which holds grids with an integer zero point.
 * @param gram of the head's input; without it the head is rounded to nearest
 */
export async function quantizeHead(
  name: string,
  head: Matrix,
  gram: Float32Array | undefined,
  options: GptqOptions,
  pool: Pool,
): Promise<ChangedTensor> {
  const exact: GptqOptions = options.kind === "asymmetric" ? { ...options, kind: "integer-zero" } : options;
  checkColumns(name, head, exact);
  if (!gram) return named(name, () => toTensor(name, roundToNearest(head, exact), "q8_0"));
  const { rows, cols, values } = head;
  const starts = Array.from({ length: Math.ceil(rows / HEAD_ROWS) }, (_, i) => i * HEAD_ROWS);
  const parts = await Promise.all(
    starts.map(async (start) => {
      const end = Math.min(rows, start + HEAD_ROWS);
      const part = { rows: end - start, cols, values: values.slice(start * cols, end * cols) };
      const [quantized] = await pool.run("gptq", { gram, cols, matrices: [part], options: exact });
      return toTensor(name, quantized as Quantized, "q8_0");
    }),
  );
  const [first] = parts as [ChangedTensor];
  return { ...first, rows, data: Buffer.concat(parts.map(({ data }) => data)) };
}
