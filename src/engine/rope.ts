// Rotary position embeddings (Su et al. 2021, RoFormer, arXiv 2104.09864): by how much each pair of a head's dimensions turns.
import type { ModelConfig, RopeScaling } from "../variants/index.ts";
import { exp, log } from "./sampling/exp.ts";

export interface Rope extends Pick<ModelConfig, "headDim" | "ropeTheta"> {
  readonly ropeScaling?: RopeScaling | undefined;
}

/** theta^-x in fp32. */
export type InversePower = (theta: number, x: number) => number;
/** As PyTorch has it: what is compared with fp32 models has to turn by the very same angles. */
export const asPyTorch: InversePower = (theta, x) => Math.fround(1 / Math.fround(theta ** x));
/** The same bits on every machine, which `**` does not promise. */
export const asEverywhere: InversePower = (theta, x) => Math.fround(exp(-x * log(theta)));

/** What a scaling divides a frequency by, in radians a token. (transformers, modeling_rope_utils.py, `_compute_llama3_parameters`) */
export function stretchOf(frequency: number, scaling: RopeScaling): number {
  if (scaling.type === "linear") return scaling.factor;
  const { factor, lowFreqFactor: low, highFreqFactor: high, originalContextLength } = scaling;
  // Turns that this frequency makes within the original context.
  const turns = (originalContextLength * frequency) / (2 * Math.PI);
  if (turns < low) return factor;
  if (turns > high) return 1;
  const smooth = (turns - low) / (high - low);
  return 1 / ((1 - smooth) / factor + smooth);
}

/** Radians a token of each pair of a head's dimensions, fp32 `[headDim / 2]`. */
export function frequencies({ headDim, ropeTheta, ropeScaling }: Rope, power: InversePower): Float32Array {
  const half = headDim / 2;
  return Float32Array.from({ length: half }, (_, i) => {
    const frequency = power(ropeTheta, i / half);
    return ropeScaling ? frequency / stretchOf(frequency, ropeScaling) : frequency;
  });
}

/** Cosines and sines of the positions from `first` on, as PyTorch has them, each `[rows, headDim / 2]`. */
export function rotations(rope: Rope, first: number, rows: number): { cos: Float32Array; sin: Float32Array } {
  const turns = frequencies(rope, asPyTorch);
  const angles = new Float32Array(rows * turns.length);
  for (let row = 0; row < rows; row++)
    angles.set(
      turns.map((turn) => turn * (first + row)),
      row * turns.length,
    );
  return { cos: angles.map(Math.cos), sin: angles.map(Math.sin) };
}
