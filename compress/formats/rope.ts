// RoPE scaling in config.json's terms, read and written. (transformers, modeling_rope_utils.py)
import { z } from "zod";
import { unreadScaling } from "../../scripts/build/rope.ts";
import type { RopeScaling } from "../../src/variants/base.ts";
import { UserError } from "../error.ts";

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

/**
 * @param given `rope_scaling`, or `rope_parameters` of newer releases
 * @param where for messages
 * @throws UserError naming the type that is not read, or the field that is missing or wrong
 */
export function scalingOfConfig(given: Readonly<Record<string, unknown>>, where: string): RopeScaling | undefined {
  if ((given.partial_rotary_factor ?? 1) !== 1) {
    throw new UserError(
      `${where} has a partial_rotary_factor of ${given.partial_rotary_factor}; all of a head must turn`,
    );
  }
  const type = given.rope_type ?? given.type ?? "default";
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
