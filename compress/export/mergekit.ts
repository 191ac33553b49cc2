// A variant as a mergekit configuration: slices of the base's layers, one after another. (arcee-ai/mergekit, docs: "passthrough")
import { stringify } from "yaml";
import { UserError } from "../../formats/error.ts";
import type { SlotRecipe } from "../../src/variants/index.ts";
import type { Output } from "../output.ts";

/**
 * @param model what mergekit is to load: a Hugging Face id or a folder
 * @throws UserError naming the slot that no slice can say
 */
export function mergekitOutput(recipe: SlotRecipe, model: string): Output {
  if (recipe.layers || recipe.tensors || recipe.adapter) {
    throw new UserError(`${recipe.id} changes weights, which mergekit's slices cannot say: use --format hf or gguf`);
  }
  const ranges: [number, number][] = [];
  for (const [index, { layer, attn, mlp }] of recipe.slots.entries()) {
    if (!attn || !mlp) {
      const lacks = attn ? "MLP" : "attention";
      throw new UserError(
        `${recipe.id}: slot ${index} (layer ${layer}) has no ${lacks}, which mergekit's slices cannot say: use --format gguf or recipe`,
      );
    }
    const last = ranges.at(-1);
    if (last?.[1] === layer) last[1] = layer + 1;
    else ranges.push([layer, layer + 1]);
  }
  const config = {
    slices: ranges.map((layer_range) => ({ sources: [{ model, layer_range }] })),
    merge_method: "passthrough",
    dtype: "float32",
  };
  return { kind: "file", chunks: [Buffer.from(stringify(config))] };
}
