// Rotation angles of rotary position embeddings for all positions of a sequence, stretched as a model's configuration says.
import type { ModelShape, RopeScaling } from "../checkpoint.ts";

/** Rotations a token of the pair `i` of a head's dimensions, in radians; transformers, modeling_rope_utils.py. */
export function frequencies({ headDim, ropeTheta, ropeScaling }: ModelShape): number[] {
  const half = headDim / 2;
  // fp32, as PyTorch has it.
  return Array.from({ length: half }, (_, i) =>
    Math.fround(scaled(Math.fround(1 / Math.fround(ropeTheta ** (i / half))), ropeScaling)),
  );
}

function scaled(frequency: number, scaling: RopeScaling | undefined): number {
  if (!scaling) return frequency;
  if (scaling.type === "linear") return frequency / scaling.factor;
  const { factor, lowFreqFactor, highFreqFactor, originalContextLength } = scaling;
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength < originalContextLength / highFreqFactor) return frequency;
  if (wavelength > originalContextLength / lowFreqFactor) return frequency / factor;
  const smooth = (originalContextLength / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return (1 - smooth) * (frequency / factor) + smooth * frequency;
}

/** Cosines and sines of positions 0 to `length - 1`, each `[length, headDim / 2]`. */
export function rotations(shape: ModelShape, length: number): { cos: Float32Array; sin: Float32Array } {
  const all = frequencies(shape);
  const angles = Array.from({ length }, (_, at) => all.map((frequency) => Math.fround(frequency * at))).flat();
  return { cos: Float32Array.from(angles, Math.cos), sin: Float32Array.from(angles, Math.sin) };
}
