// A PEFT folder's LoRA adapter: adapter_config.json and adapter_model.safetensors. The factor on B A x goes into B.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { readPairs, TENSORS } from "../../../scripts/build/adapter.ts";
import { MAX_RANK } from "../../../src/variants/adapter.ts";
import type { LowRankAdapter } from "../../artifact.ts";
import type { Checkpoint } from "../../checkpoint.ts";
import { UserError } from "../../error.ts";
import { MODULES } from "../../peft.ts";
import { check, readParsed } from "./text.ts";

const pattern = z.record(z.string(), z.number().positive()).nullish();
/** What would change the arithmetic of W + scale B A is refused. */
const nothing = z
  .union([z.literal(false), z.null(), z.array(z.unknown()).length(0), z.record(z.string(), z.never())])
  .optional();
const configSchema = z.object({
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
type Config = z.infer<typeof configSchema>;

/** @throws UserError naming the file and the field that this project has no arithmetic for */
export async function readPeftConfig(folder: string): Promise<Config> {
  const file = join(folder, "adapter_config.json");
  return check(configSchema, await readParsed(file, JSON.parse, "JSON"), file);
}

/** @throws UserError naming the file and the tensor that the base does not have, or that does not fit it */
export async function readPeft(folder: string, config: Config, base: Checkpoint): Promise<LowRankAdapter> {
  const file = join(folder, "adapter_model.safetensors");
  const bytes = await readFile(file).catch(() => {
    throw new UserError(`${file} is missing`);
  });
  const pairs = readPairs(bytes, (problem) => new UserError(`${file}: ${problem}`));
  if (pairs.length === 0) throw new UserError(`${file} holds no factors`);
  return {
    linears: pairs.map(({ number, linear, a, b }) => {
      const where = `${file}: layer ${number} ${linear}_proj`;
      const target = base.tensors.get(`blk.${number}.${TENSORS[linear]}.weight`);
      if (!target) throw new UserError(`${where} is of a layer that ${base.name} does not have`);
      const [rank = 0, cols] = a.shape;
      const { rows } = target;
      if (rank < 1 || rank > MAX_RANK)
        throw new UserError(`${where} has rank ${rank}; the engine takes 1 to ${MAX_RANK}`);
      if (cols !== target.cols || b.shape[0] !== rows || b.shape[1] !== rank) {
        throw new UserError(`${where}: factors [${a.shape}] and [${b.shape}] do not fit its [${rows}, ${target.cols}]`);
      }
      const scale = scaleOf(config, `layers.${number}.${MODULES[linear]}`);
      return { layer: number, linear, rows, cols, rank, a: a.values, b: b.values.map((value) => scale * value) };
    }),
  };
}

/** Keys of a pattern are ends of module names, or regular expressions for them; only the former are read. */
export function scaleOf({ r, lora_alpha, rank_pattern, alpha_pattern, use_rslora }: Config, module: string): number {
  const of = (pattern: Config["rank_pattern"], fallback: number): number => {
    const found = Object.entries(pattern ?? {}).find(([key]) => module === key || module.endsWith(`.${key}`));
    return found?.[1] ?? fallback;
  };
  const rank = of(rank_pattern, r);
  return of(alpha_pattern, lora_alpha) / (use_rslora ? Math.sqrt(rank) : rank);
}
