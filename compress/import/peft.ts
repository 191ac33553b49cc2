// A PEFT folder's LoRA adapter: adapter_config.json and adapter_model.safetensors. The factor on B A x goes into B.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Checkpoint } from "../../formats/checkpoint.ts";
import { UserError } from "../../formats/error.ts";
import { type PeftConfig, peftConfigSchema, scaleOf } from "../../formats/peft/config.ts";
import { readPairs } from "../../formats/peft/factors.ts";
import type { LowRankAdapter } from "../../formats/peft/write.ts";
import { linearTensor, MAX_RANK } from "../../src/variants/index.ts";
import { check, readParsed } from "./text.ts";

/** @throws UserError naming the file and the field that this project has no arithmetic for */
export async function readPeftConfig(folder: string): Promise<PeftConfig> {
  const file = join(folder, "adapter_config.json");
  return check(peftConfigSchema, await readParsed(file, JSON.parse, "JSON"), file);
}

/** @throws UserError naming the file and the tensor that the base does not have, or that does not fit it */
export async function readPeft(folder: string, config: PeftConfig, base: Checkpoint): Promise<LowRankAdapter> {
  const file = join(folder, "adapter_model.safetensors");
  const bytes = await readFile(file).catch(() => {
    throw new UserError(`${file} is missing`);
  });
  const pairs = readPairs(bytes, (problem) => new UserError(`${file}: ${problem}`));
  if (pairs.length === 0) throw new UserError(`${file} holds no factors`);
  return {
    linears: pairs.map(({ number, linear, a, b }) => {
      const where = `${file}: layer ${number} ${linear}_proj`;
      const target = base.tensors.get(linearTensor(number, linear));
      if (!target) throw new UserError(`${where} is of a layer that ${base.name} does not have`);
      const [rank = 0, cols] = a.shape;
      const { rows } = target;
      if (rank < 1 || rank > MAX_RANK)
        throw new UserError(`${where} has rank ${rank}; the engine takes 1 to ${MAX_RANK}`);
      if (cols !== target.cols || b.shape[0] !== rows || b.shape[1] !== rank) {
        throw new UserError(`${where}: factors [${a.shape}] and [${b.shape}] do not fit its [${rows}, ${target.cols}]`);
      }
      const scale = scaleOf(config, { number, linear, rank }, (problem) => new UserError(`${file}: ${problem}`));
      const scaled = b.values.map((value) => scale * value);
      for (const [side, values, width] of [
        ["A", a.values, cols],
        ["B", scaled, rank],
      ] as const) {
        const at = values.findIndex((value) => !Number.isFinite(value));
        if (at < 0) continue;
        const place = `[${Math.floor(at / width)}, ${at % width}]`;
        throw new UserError(`${where}: lora_${side} has NaN or infinity at ${place}: the file is damaged`);
      }
      return { layer: number, linear, rows, cols, rank, a: a.values, b: scaled };
    }),
  };
}
