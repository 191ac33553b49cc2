// EoRA for every linear of a layer that a method has changed.

import { UserError } from "../../formats/error.ts";
import type { LowRankLinear } from "../../formats/peft/write.ts";
import { linearTensor } from "../../src/variants/index.ts";
import { linearOf, linearsOf } from "../apply/linears.ts";
import type { InputMoments, LayerResult } from "../apply/walk.ts";
import { eora, inputRoot } from "../compensate/eora.ts";
import type { LayerWeights } from "../forward/layer-weights.ts";
import { INPUTS } from "../moments.ts";

export interface EoraOptions {
  readonly rank: number;
  readonly seed: number;
}

/**
 * @param original the layer before it was compressed
 * @throws UserError where a linear is narrower than the original: a low-rank sum can't give rows back
 */
export async function eoraLayer(
  layer: number,
  compressed: LayerWeights,
  original: LayerWeights,
  moments: InputMoments,
  { rank, seed }: EoraOptions,
): Promise<LayerResult> {
  const lowRank: LowRankLinear[] = [];
  for (const [at, input] of INPUTS.entries()) {
    const known = moments.get(input);
    const changed = linearsOf(input).flatMap((linear) => {
      const [now, before] = [linearOf(compressed, linear), linearOf(original, linear)];
      if (!now || !before) return [];
      if (now.rows !== before.rows || now.cols !== before.cols) {
        throw new UserError(
          `${linearTensor(layer, linear)} is [${now.rows}, ${now.cols}], and was [${before.rows}, ${before.cols}]: EoRA compensates what keeps its shape, as masks and quantization do`,
        );
      }
      const residual = difference(before.values, now.values);
      return residual ? [{ linear, matrix: { ...now, values: residual } }] : [];
    });
    if (changed.length === 0 || !known?.gram) continue;
    const root = await inputRoot(known.gram, known.cols);
    for (const [i, { linear, matrix }] of changed.entries()) {
      const { rows, cols } = matrix;
      const found = await eora(matrix, root, Math.min(rank, rows, cols), seed + 1000 * layer + 10 * at + i);
      lowRank.push({ layer, linear, rows, cols, ...found });
    }
  }
  return { tensors: [], lowRank };
}

/** a - b, or nothing where they are the same. Loops, as callbacks for millions of numbers are slow. */
function difference(a: Float32Array, b: Float32Array): Float32Array | undefined {
  const out = new Float32Array(a.length);
  let same = true;
  for (let i = 0; i < a.length; i++) {
    out[i] = (a[i] as number) - (b[i] as number);
    if (out[i] !== 0) same = false;
  }
  return same ? undefined : out;
}
