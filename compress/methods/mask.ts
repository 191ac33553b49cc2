// Masks a layer's linears by Wanda or by magnitude. What stays is rounded to grids that have an exact zero, as a mask needs it.

import { linearTensor } from "../../src/variants/index.ts";
import { linearOf, linearsOf } from "../apply/linears.ts";
import type { InputMoments, LayerResult } from "../apply/walk.ts";
import type { ChangedTensor } from "../artifact.ts";
import type { LayerWeights } from "../forward/layer-weights.ts";
import { INPUTS } from "../moments.ts";
import { type MaskPattern, maskLowest, weightScores } from "../prune/masks.ts";
import { toTensor } from "../quantize/containers.ts";
import { roundToNearest } from "../quantize/rtn.ts";
import { checkColumns, named } from "./quantize.ts";

const GRID = { bits: 4, kind: "integer-zero", block: 32 } as const;

/** @param moments of the inputs, for Wanda's score; without them weights are ranked by their magnitude alone */
export function maskLayer(
  layer: number,
  weights: LayerWeights,
  moments: InputMoments | undefined,
  pattern: MaskPattern,
): LayerResult {
  const tensors = INPUTS.flatMap((input) =>
    linearsOf(input).flatMap((linear): ChangedTensor[] => {
      const matrix = linearOf(weights, linear);
      if (!matrix) return [];
      const name = linearTensor(layer, linear);
      checkColumns(name, matrix, GRID);
      const masked = maskLowest(matrix, weightScores(matrix, moments?.get(input)?.squares), pattern, name);
      return [named(name, () => toTensor(name, roundToNearest(masked, GRID), "q4_1"))];
    }),
  );
  return { tensors };
}
