// Rotation angles of rotary position embeddings (Su et al. 2021, RoFormer), for the rows of one step.
import type { ModelConfig } from "../../variants/base.ts";

/** Cosines and sines of the positions from `first` on, each `[rows, headDim / 2]`. */
export function ropeRows(
  { headDim, ropeTheta }: ModelConfig,
  first: number,
  rows: number,
): { cos: Float32Array; sin: Float32Array } {
  const half = headDim / 2;
  const cos = new Float32Array(rows * half);
  const sin = new Float32Array(rows * half);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < half; i++) {
      // PyTorch makes frequency and angle in fp32; the oracle has to turn by the very same angle.
      const frequency = Math.fround(1 / Math.fround(ropeTheta ** (i / half)));
      const angle = Math.fround(frequency * (first + row));
      cos[row * half + i] = Math.cos(angle);
      sin[row * half + i] = Math.sin(angle);
    }
  }
  return { cos, sin };
}
