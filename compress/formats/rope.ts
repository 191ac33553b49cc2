// RoPE scaling as frequency factors, which is how GGUF stores Llama 3's, and back.
import type { RopeScaling } from "../checkpoint.ts";

type Llama3 = Extract<RopeScaling, { type: "llama3" }>;

/**
 * What each of a head's `headDim / 2` frequencies is divided by. (transformers, modeling_rope_utils.py,
 * `_compute_llama3_parameters`)
 */
export function ropeFactors(scaling: RopeScaling, headDim: number, theta: number): Float32Array {
  return Float32Array.from({ length: headDim / 2 }, (_, i) => {
    if (scaling.type === "linear") return scaling.factor;
    const { factor, lowFreqFactor: low, highFreqFactor: high, originalContextLength } = scaling;
    // Turns that this frequency makes within the original context.
    const turns = originalContextLength / (2 * Math.PI * theta ** ((2 * i) / headDim));
    if (turns < low) return factor;
    if (turns > high) return 1;
    const smooth = (turns - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/**
 * The scaling that gives these factors: Llama 3's own settings where they do, else any that does (only ratios of the last three
 * settings matter, so a low factor of 1 is as good as another).
 */
export function scalingOfFactors(factors: Float32Array, headDim: number, theta: number): Llama3 | undefined {
  const factor = factors.reduce((most, value) => Math.max(most, value), 1);
  const common = { type: "llama3", factor, lowFreqFactor: 1, highFreqFactor: 4, originalContextLength: 8192 } as const;
  const gives = (scaling: Llama3): boolean =>
    ropeFactors(scaling, headDim, theta).every((value, i) => Math.abs(value / (factors[i] as number) - 1) < 1e-4);
  if (gives(common)) return common;
  // Between the two thresholds, smoothness is a line over the frequency: two points tell it.
  const points = [...factors].flatMap((value, i) =>
    value > 1 && value < factor
      ? [
          {
            frequency: 1 / (2 * Math.PI * theta ** ((2 * i) / headDim)),
            smooth: (1 / value - 1 / factor) / (1 - 1 / factor),
          },
        ]
      : [],
  );
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last || first === last) return undefined;
  const slope = (first.smooth - last.smooth) / (first.frequency - last.frequency);
  const low = slope * first.frequency - first.smooth;
  const fitted: Llama3 = {
    ...{ type: "llama3", factor, lowFreqFactor: 1, highFreqFactor: 1 + 1 / low },
    originalContextLength: Math.round(slope / low),
  };
  return gives(fitted) ? fitted : undefined;
}
