// Low-rank factors as PEFT stores them: `adapter_model.safetensors` and `adapter_config.json` in one folder.
import type { Linear } from "../../src/variants/index.ts";
import { writeSafetensors } from "../safetensors.ts";
import { MODULES } from "../tensors.ts";

/** Adds `B A x` to what a linear gives for x. */
export interface LowRankLinear {
  /** Layer of the base. */
  readonly layer: number;
  readonly linear: Linear;
  readonly rows: number;
  readonly cols: number;
  readonly rank: number;
  /** `[rank, cols]` */
  readonly a: Float32Array;
  /** `[rows, rank]` */
  readonly b: Float32Array;
}

export interface LowRankAdapter {
  readonly linears: readonly LowRankLinear[];
}

/**
 * The files of an adapter by name; `lora_alpha` equals `r`, so that the factor on B A x is 1. Linears of a lower rank say so in `rank_pattern`.
 * PEFT adapts every module that the targets name, and misses the factors of one that has none: they name those that have some, and no others.
 */
export function peftFiles({ linears }: LowRankAdapter, baseName: string): Map<string, Uint8Array> {
  const rank = Math.max(...linears.map((linear) => linear.rank));
  const moduleOf = ({ layer, linear }: LowRankLinear): string => `layers.${layer}.${MODULES[linear]}`;
  const ranks = linears.filter((linear) => linear.rank !== rank).map((linear) => [moduleOf(linear), linear.rank]);
  const layers = [...new Set(linears.map(({ layer }) => layer))].sort((a, b) => a - b);
  const kinds = [...new Set(linears.map(({ linear }) => `${linear}_proj`))].sort();
  const alike = linears.length === layers.length * kinds.length;
  const tensors = linears.flatMap(({ layer, linear, rows, cols, rank, a, b }) => {
    const name = `base_model.model.model.layers.${layer}.${MODULES[linear]}`;
    return [
      { name: `${name}.lora_A.weight`, shape: [rank, cols], values: a },
      { name: `${name}.lora_B.weight`, shape: [rows, rank], values: b },
    ];
  });
  const config = {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: baseName,
    inference_mode: true,
    r: rank,
    lora_alpha: rank,
    lora_dropout: 0,
    bias: "none",
    fan_in_fan_out: false,
    ...(alike ? { target_modules: kinds, layers_to_transform: layers } : { target_modules: linears.map(moduleOf) }),
    rank_pattern: Object.fromEntries(ranks),
    alpha_pattern: Object.fromEntries(ranks),
  };
  return new Map([
    ["adapter_config.json", Buffer.from(`${JSON.stringify(config, null, 2)}\n`)],
    ["adapter_model.safetensors", writeSafetensors(tensors)],
  ]);
}
