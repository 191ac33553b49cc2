// Rotation angles of rotary position embeddings for all positions of a sequence, stretched as a model's configuration says.
import type { ModelShape } from "../checkpoint.ts";
import { ropeFactors } from "../formats/rope.ts";

/** Radians a token of each pair of a head's dimensions, `[headDim / 2]`, in fp32 as PyTorch has them. */
export function frequencies({ headDim, ropeTheta, ropeScaling }: ModelShape): number[] {
  const half = headDim / 2;
  const factors = ropeScaling && ropeFactors(ropeScaling, headDim, ropeTheta);
  return Array.from({ length: half }, (_, i) => {
    const frequency = Math.fround(1 / Math.fround(ropeTheta ** (i / half)));
    return Math.fround(frequency / (factors?.[i] ?? 1));
  });
}

/** Cosines and sines of positions 0 to `length - 1`, each `[length, headDim / 2]`. */
export function rotations(shape: ModelShape, length: number): { cos: Float32Array; sin: Float32Array } {
  const all = frequencies(shape);
  const angles = Array.from({ length }, (_, at) => all.map((frequency) => Math.fround(frequency * at))).flat();
  return { cos: Float32Array.from(angles, Math.cos), sin: Float32Array.from(angles, Math.sin) };
}
