// What an adapter_config.json says of a LoRA adapter's factors: what B A x is multiplied by, module by module, as PEFT reads it.
import { z } from "zod";
import type { Linear } from "../../src/variants/index.ts";
import { MODULES } from "../tensors.ts";

const pattern = z.record(z.string(), z.number()).nullish();
/** What would change the arithmetic of W + scale B A is refused. */
const nothing = z
  .union([z.literal(false), z.null(), z.array(z.unknown()).length(0), z.record(z.string(), z.never())])
  .optional();

export const peftConfigSchema = z.object({
  peft_type: z.literal("LORA"),
  r: z.int().positive(),
  lora_alpha: z.number(),
  rank_pattern: pattern,
  alpha_pattern: pattern,
  use_rslora: z.boolean().nullish(),
  base_model_name_or_path: z.string().nullish(),
  bias: z.enum(["none"]).nullish(),
  use_dora: nothing,
  fan_in_fan_out: nothing,
  modules_to_save: nothing,
  layer_replication: nothing,
});
export type PeftConfig = z.infer<typeof peftConfigSchema>;

export interface PeftModule {
  /** Of the layer, as the adapter's file counts. */
  readonly number: number;
  readonly linear: Linear;
  /** Of its factors. */
  readonly rank: number;
}

/**
 * The factor on B A x.
 * @param fail makes an error of a problem
 * @throws what `fail` makes, naming the rank that the factors do not have, or the pattern that cannot be read
 */
export function scaleOf(
  config: PeftConfig,
  { number, linear, rank }: PeftModule,
  fail: (problem: string) => Error,
): number {
  const module = `model.layers.${number}.${MODULES[linear]}`;
  const find = (field: "rank_pattern" | "alpha_pattern"): number | undefined =>
    Object.entries(config[field] ?? {}).find(([key]) =>
      matches(key, module, (problem) => fail(`${field} ${problem}`)),
    )?.[1];
  const named = find("rank_pattern") ?? config.r;
  if (named !== rank)
    throw fail(`layer ${number} ${linear}_proj has rank ${rank}, but adapter_config.json says ${named}`);
  return (find("alpha_pattern") ?? config.lora_alpha) / (config.use_rslora ? Math.sqrt(rank) : rank);
}

/**
 * A key of a pattern is a regular expression for a module's whole name, or for its end after a dot.
 * (PEFT, src/peft/utils/other.py, `get_pattern_key`)
 */
function matches(key: string, module: string, fail: (problem: string) => Error): boolean {
  try {
    // With `u`, what JavaScript alone would take for a letter, as \A, is an error.
    return new RegExp(`^(.*\\.)?(${key})$`, "u").test(module);
  } catch (error) {
    throw fail(`has the key ${key}, which cannot be read: ${(error as Error).message}`);
  }
}
