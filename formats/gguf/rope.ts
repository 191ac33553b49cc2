// RoPE scaling as GGUF stores it: the linear one as metadata, Llama 3's as a tensor of what each frequency is divided by.
import { asPyTorch, type Rope, stretchOf } from "../../src/engine/index.ts";
import { type RopeScaling, ropeScalingSchema } from "../../src/variants/index.ts";

type Llama3 = Extract<RopeScaling, { type: "llama3" }>;

export const ROPE_FACTORS = "rope_freqs.weight";
/** The scaling that the factors are of, as JSON. GGUF has no word for it, and a small head has too few factors to tell. */
export const ROPE_SETTINGS = "rope.scaling.llama3";

/** Why a scaling is not read, and what to do. Dynamic scaling changes nothing before the length that the model was trained for. */
export const unreadScaling = (type: unknown): string =>
  `RoPE scaling of the type ${type} is not read (linear and llama3 are): ${
    type === "dynamic"
      ? "take it out of config.json, which changes nothing within the context that the model was trained for"
      : "take the checkpoint that this one was stretched from"
  }`;

/** What each of a head's `headDim / 2` frequencies is divided by. */
export const ropeFactors = (scaling: RopeScaling, headDim: number, theta: number): Float32Array =>
  Float32Array.from({ length: headDim / 2 }, (_, i) => stretchOf(asPyTorch(theta, (2 * i) / headDim), scaling));

export interface GgufRope extends Pick<Rope, "headDim" | "ropeTheta"> {
  /** The file, for messages. */
  readonly name: string;
  /** A value of the metadata by its key after the architecture's name. */
  readonly field: (key: string) => unknown;
  /** What `rope_freqs.weight` holds. */
  readonly factors: Float32Array | undefined;
}

/** @throws Error that names the file, and the scaling that is not read */
export function readScaling({ name, field, factors, headDim, ropeTheta }: GgufRope): RopeScaling | undefined {
  const type = field("rope.scaling.type") ?? "linear";
  if (type !== "none" && type !== "linear") throw new Error(`${name}: ${unreadScaling(type)}`);
  const given = field("rope.scaling.factor") ?? field("rope.scale_linear");
  // llama.cpp takes 0 for none, too.
  const factor = type === "none" ? 1 : Number(given ?? 1) || 1;
  if (!(factor > 0)) throw new Error(`${name}: metadata rope.scaling.factor is ${given}, no number above 0`);
  const linear: RopeScaling | undefined = factor === 1 ? undefined : { type: "linear", factor };
  if (!factors) return linear;
  if (linear) throw new Error(`${name} has linear RoPE scaling and ${ROPE_FACTORS} at once, which is not read`);
  const gives = (scaling: RopeScaling): boolean =>
    ropeFactors(scaling, headDim, ropeTheta).every((value, i) => Math.abs(value / (factors[i] as number) - 1) < 1e-4);
  const written = settingsOf(field(ROPE_SETTINGS));
  if (factors.length === headDim / 2 && written && gives(written)) return written;
  const scaling = factors.length === headDim / 2 ? scalingOfFactors(factors, headDim, ropeTheta, gives) : undefined;
  if (!scaling) throw new Error(`${name}: tensor ${ROPE_FACTORS} is not a scaling that Llama 3 has`);
  return scaling;
}

function settingsOf(text: unknown): RopeScaling | undefined {
  if (typeof text !== "string") return undefined;
  try {
    return ropeScalingSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/**
 * The scaling that gives these factors: Llama 3's own settings where they do, else any that does (only ratios of the last three
 * settings matter, so a low factor of 1 is as good as another).
 */
function scalingOfFactors(
  factors: Float32Array,
  headDim: number,
  theta: number,
  gives: (scaling: Llama3) => boolean,
): Llama3 | undefined {
  const factor = factors.reduce((most, value) => Math.max(most, value), 1);
  const common = { type: "llama3", factor, lowFreqFactor: 1, highFreqFactor: 4, originalContextLength: 8192 } as const;
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
    type: "llama3",
    factor,
    lowFreqFactor: 1,
    highFreqFactor: Number((1 + 1 / low).toPrecision(6)),
    originalContextLength: Math.round(slope / low),
  };
  return gives(fitted) ? fitted : undefined;
}
