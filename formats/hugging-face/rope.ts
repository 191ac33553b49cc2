// RoPE scaling in config.json's terms, read and written. (transformers, modeling_rope_utils.py)
import { z } from "zod";
import type { RopeScaling } from "../../src/variants/index.ts";
import { UserError } from "../error.ts";
import { unreadScaling } from "../gguf/rope.ts";

const factor = z.number().positive();
const SCHEMAS = {
  linear: z.object({ factor }).transform(({ factor }): RopeScaling => ({ type: "linear", factor })),
  llama3: z
    .object({
      factor,
      low_freq_factor: z.number().positive(),
      high_freq_factor: z.number().positive(),
      original_max_position_embeddings: z.int().positive(),
    })
    .refine(({ low_freq_factor: low, high_freq_factor: high }) => high > low, "high_freq_factor is not the higher one")
    .transform(
      (llama3): RopeScaling => ({
        type: "llama3",
        factor: llama3.factor,
        lowFreqFactor: llama3.low_freq_factor,
        highFreqFactor: llama3.high_freq_factor,
        originalContextLength: llama3.original_max_position_embeddings,
      }),
    ),
} satisfies Record<RopeScaling["type"], z.ZodType<RopeScaling>>;

/** What of config.json says how positions turn. */
export interface RopeConfig {
  readonly rope_theta?: number | null | undefined;
  readonly rope_scaling?: Readonly<Record<string, unknown>> | null | undefined;
  /** What newer releases of transformers write in place of the two. */
  readonly rope_parameters?: Readonly<Record<string, unknown>> | null | undefined;
  readonly partial_rotary_factor?: number | null | undefined;
  readonly original_max_position_embeddings?: number | null | undefined;
  readonly max_position_embeddings: number;
}

export interface RopeShape {
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling | undefined;
}

const DEFAULT_THETA = 10_000;
const thetaSchema = z.number().positive();

/**
 * `rope_scaling` comes before `rope_parameters`, unless it is empty; what either says of a field comes before what config.json says outside.
 * @param where config.json, for messages
 * @throws UserError naming the type that is not read, or the field that is missing or wrong
 */
export function ropeOfConfig(config: RopeConfig, where: string): RopeShape {
  const isGiven = (value: RopeConfig["rope_scaling"]) => value && Object.keys(value).length > 0;
  const field = isGiven(config.rope_scaling) ? "rope_scaling" : "rope_parameters";
  const given = {
    ...(config.partial_rotary_factor == null ? {} : { partial_rotary_factor: config.partial_rotary_factor }),
    rope_theta: config.rope_theta === undefined ? DEFAULT_THETA : config.rope_theta,
    original_max_position_embeddings: config.max_position_embeddings,
    ...config[field],
    // Llama's configuration has no field of that name: one that is there is the model's own.
    ...(config.original_max_position_embeddings == null
      ? {}
      : { original_max_position_embeddings: config.original_max_position_embeddings }),
  };
  const theta = thetaSchema.safeParse(given.rope_theta);
  if (!theta.success) {
    throw new UserError(`${where}: rope_theta is ${JSON.stringify(given.rope_theta)}; it must be a number above 0`);
  }
  return { ropeTheta: theta.data, ropeScaling: scalingOf(given, `${where}: ${field}`) };
}

function scalingOf(given: Readonly<Record<string, unknown>>, where: string): RopeScaling | undefined {
  if ((given.partial_rotary_factor ?? 1) !== 1) {
    throw new UserError(
      `${where} has a partial_rotary_factor of ${given.partial_rotary_factor}; all of a head must turn`,
    );
  }
  const type = "rope_type" in given ? given.rope_type : (given.type ?? "default");
  if (type === "default") return undefined;
  if (!Object.hasOwn(SCHEMAS, String(type))) throw new UserError(`${where}: ${unreadScaling(type)}`);
  const parsed = SCHEMAS[type as RopeScaling["type"]].safeParse(given);
  if (!parsed.success) throw new UserError(`${where} of the type ${type}:\n${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

export function configOfScaling(scaling: RopeScaling): object {
  if (scaling.type === "linear") return { rope_type: "linear", factor: scaling.factor };
  return {
    rope_type: "llama3",
    factor: scaling.factor,
    low_freq_factor: scaling.lowFreqFactor,
    high_freq_factor: scaling.highFreqFactor,
    original_max_position_embeddings: scaling.originalContextLength,
  };
}
