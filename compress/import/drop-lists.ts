// LLM-Drop's drop lists as slots: a config.json with `drop_attn_list` and `drop_mlp_list`. (CASE-Lab-UMD/LLM-Drop, README)
import { z } from "zod";
import type { ModelShape } from "../../formats/checkpoint.ts";
import { UserError } from "../../formats/error.ts";
import type { Slot } from "../../src/variants/index.ts";
import { check } from "./text.ts";

const list = z.array(z.int().nonnegative()).nullish();
const configSchema = z.object({
  drop_attn_list: list,
  drop_mlp_list: list,
  num_hidden_layers: z.int().positive().optional(),
  hidden_size: z.int().positive().optional(),
  _name_or_path: z.string().optional(),
});

export const hasDropLists = (config: unknown): boolean =>
  typeof config === "object" && config !== null && ("drop_attn_list" in config || "drop_mlp_list" in config);

/** What the file calls its model, if it says. */
export const modelOfDropLists = (config: unknown, file: string): string | undefined =>
  check(configSchema, config, file)._name_or_path;

/** @throws UserError naming the file, and the layer or size that the base does not have */
export function readDropLists(config: unknown, file: string, shape: ModelShape): Slot[] {
  const { drop_attn_list, drop_mlp_list, num_hidden_layers, hidden_size } = check(configSchema, config, file);
  const layers = shape.layers.length;
  if (num_hidden_layers !== undefined && num_hidden_layers !== layers) {
    throw new UserError(`${file} is of a model of ${num_hidden_layers} layers; the base has ${layers}`);
  }
  if (hidden_size !== undefined && hidden_size !== shape.hidden) {
    throw new UserError(`${file} is of a model of hidden size ${hidden_size}; the base's is ${shape.hidden}`);
  }
  const dropped = { attn: new Set(drop_attn_list ?? []), mlp: new Set(drop_mlp_list ?? []) };
  const beyond = [...dropped.attn, ...dropped.mlp].find((layer) => layer >= layers);
  if (beyond !== undefined) throw new UserError(`${file} drops of layer ${beyond}; the base has 0 to ${layers - 1}`);
  const slots = shape.layers.map((_, layer) => ({
    layer,
    attn: !dropped.attn.has(layer),
    mlp: !dropped.mlp.has(layer),
  }));
  const kept = slots.filter(({ attn, mlp }) => attn || mlp);
  if (kept.length === 0) throw new UserError(`${file} drops every layer`);
  return kept;
}
