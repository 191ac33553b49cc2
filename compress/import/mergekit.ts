// mergekit's passthrough configurations as slots. (arcee-ai/mergekit, docs: "passthrough")
import { parse } from "yaml";
import { z } from "zod";
import { UserError } from "../../formats/error.ts";
import type { Slot } from "../../src/variants/index.ts";
import { check, readParsed } from "./text.ts";

const sourceSchema = z.strictObject({
  model: z.string(),
  layer_range: z.tuple([z.int().nonnegative(), z.int().positive()]),
});
const configSchema = z.strictObject({
  slices: z
    .array(z.strictObject({ sources: z.array(sourceSchema).length(1, "passthrough has one source a slice") }))
    .min(1),
  merge_method: z.literal("passthrough"),
  /** These change no weight of a passthrough. */
  dtype: z.string().optional(),
  out_dtype: z.string().optional(),
  tokenizer_source: z.string().optional(),
  name: z.string().optional(),
});

export interface SliceList {
  /** What mergekit calls the model. */
  readonly model: string;
  /** A PEFT adapter that mergekit adds to the model before it slices it: a folder or a Hugging Face id. */
  readonly lora: string | undefined;
  readonly slots: readonly Slot[];
}

/** @throws UserError naming the file, and the field or merge method that is no passthrough's */
export async function readMergekit(file: string): Promise<SliceList> {
  const yaml = await readParsed(file, (text) => parse(text, { maxAliasCount: 100 }), "YAML");
  const method = (yaml as { merge_method?: unknown } | null)?.merge_method;
  if (method !== "passthrough") {
    throw new UserError(`${file}: merge_method is ${method}; only passthrough is a recipe of one model's layers`);
  }
  const sources = check(configSchema, yaml, file).slices.flatMap((slice) => slice.sources);
  const [model, other] = new Set(sources.map((source) => source.model));
  if (other !== undefined)
    throw new UserError(`${file} takes slices of ${model} and of ${other}; they must be of one model`);
  const slots = sources.flatMap(({ layer_range: [from, to] }, index) => {
    if (to <= from) throw new UserError(`${file}: slice ${index} has the empty layer_range [${from}, ${to}]`);
    if (to > 100_000) throw new UserError(`${file}: slice ${index} ends at layer ${to}, which no model has`);
    return Array.from({ length: to - from }, (_, i) => ({ layer: from + i, attn: true, mlp: true }));
  });
  const [name = "", lora, ...more] = (model as string).split("+");
  if (more.length > 0) throw new UserError(`${file}: model ${model} names more than one adapter`);
  return { model: name, lora, slots };
}
