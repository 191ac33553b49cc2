// Quantizes a layer's linears, and the output head: by rounding, or by GPTQ where there are moments of their inputs.

import type { Matrix } from "../../formats/checkpoint.ts";
import { UserError } from "../../formats/error.ts";
import { linearTensor } from "../../src/variants/index.ts";
import { linearOf, linearsOf } from "../apply/linears.ts";
import type { InputMoments, LayerResult } from "../apply/walk.ts";
import type { ChangedTensor } from "../artifact.ts";
import type { LayerWeights } from "../forward/layer-weights.ts";
import { INPUTS } from "../moments.ts";
import { toTensor } from "../quantize/containers.ts";
import { factorInput, type GptqOptions, gptq } from "../quantize/gptq.ts";
import { roundToNearest } from "../quantize/rtn.ts";

/** The type that a linear's codes travel in. */
const container = ({ bits }: GptqOptions): "q4_1" | "q8_0" => (bits === 8 ? "q8_0" : "q4_1");

/** Throws an error again, with its tensor named. */
const rethrown = (name: string, error: unknown): never => {
  if (error instanceof RangeError) throw new UserError(`${name}: ${error.message}`);
  throw error;
};

/** Gives back what `make` does, with an error's tensor named. */
export function named<T>(name: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    return rethrown(name, error);
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
    const name = linearTensor(layer, linear);
    checkColumns(name, matrix, options);
    return [named(name, () => toTensor(name, roundToNearest(matrix, options), container(options)))];
  });
  return { tensors };
}

/** Every linear of a layer by GPTQ. */
export async function gptqLayer(
  layer: number,
  weights: LayerWeights,
  moments: InputMoments,
  options: GptqOptions,
): Promise<LayerResult> {
  const tensors: ChangedTensor[] = [];
  for (const input of INPUTS) {
    const known = moments.get(input);
    if (!known?.gram) continue;
    const factor = await factorInput(known.gram, known.cols, options);
    for (const linear of linearsOf(input)) {
      const matrix = linearOf(weights, linear);
      if (!matrix) continue;
      const name = linearTensor(layer, linear);
      checkColumns(name, matrix, options);
      const quantized = await gptq(matrix, factor, options).catch((error) => rethrown(name, error));
      tensors.push(toTensor(name, quantized, container(options)));
    }
  }
  return { tensors };
}

/** Rows of the head that are quantized together. */
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
): Promise<ChangedTensor> {
  const exact: GptqOptions = options.kind === "asymmetric" ? { ...options, kind: "integer-zero" } : options;
  checkColumns(name, head, exact);
  if (!gram) return named(name, () => toTensor(name, roundToNearest(head, exact), "q8_0"));
  const { rows, cols, values } = head;
  const factor = await factorInput(gram, cols, exact);
  const parts: ChangedTensor[] = [];
  for (let start = 0; start < rows; start += HEAD_ROWS) {
    const end = Math.min(rows, start + HEAD_ROWS);
    const part = { rows: end - start, cols, values: values.subarray(start * cols, end * cols) };
    const quantized = await gptq(part, factor, exact).catch((error) => rethrown(name, error));
    parts.push(toTensor(name, quantized, "q8_0"));
  }
  const [first] = parts as [ChangedTensor];
  return { ...first, rows, data: Buffer.concat(parts.map(({ data }) => data)) };
}
