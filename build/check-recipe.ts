// The build's checks on a recipe and its base, without the weights that the build lays out: for commands that make recipes.
import { z } from "zod";
import type { Adapter, BaseModel, ModelConfig } from "../src/variants/index.ts";
import {
  type CatalogueFile,
  catalogueFileSchema,
  compileCatalogue,
  type SlotRecipe,
  slotRecipeSchema,
} from "../src/variants/index.ts";
import { type AdapterSource, packAdapter } from "./adapter.ts";
import { readRecipes } from "./catalogue.ts";
import type { Checkpoint, CheckpointTensor } from "./checkpoint.ts";
import { checkBase } from "./weight-set.ts";

/** Stands for a file that the build would write. */
const NO_FILE = { file: "none", sha256: "none", bytes: 1 };

/** A weight set as recipes are checked against it: shapes and types, without places. */
export const withoutWeights = (id: string, config: ModelConfig, tensors: readonly CheckpointTensor[]): BaseModel => ({
  id,
  digest: "none",
  created: 0,
  origin: "none",
  license: "none",
  config,
  imageBytes: 1,
  parts: [NO_FILE],
  vocabulary: NO_FILE,
  tensors: tensors.map(({ data, ...tensor }) => ({ ...tensor, digest: "none", offset: 0, bytes: data.length })),
});

/**
 * @param checkpoint the recipe's base
 * @param source its adapter
 * @throws Error or PlanError as the build and the start do, naming what they would refuse
 */
export async function checkRecipe(recipe: SlotRecipe, checkpoint: Checkpoint, source?: AdapterSource): Promise<void> {
  if ((await readRecipes()).some(({ id }) => id === recipe.id)) {
    throw new Error(`${recipe.id}: a recipe that comes with the project has this id`);
  }
  const parsed = slotRecipeSchema.safeParse(recipe);
  if (!parsed.success) throw new Error(`${recipe.id} is not a recipe:\n${z.prettifyError(parsed.error)}`);
  const { config, tensors } = checkBase(checkpoint);
  const base = withoutWeights(checkpoint.manifest.id, config, tensors);
  const adapters: Record<string, Adapter> = {};
  if (source) adapters[recipe.id] = { ...packAdapter(source, recipe, base).adapter, parts: [NO_FILE] };
  const catalogue: CatalogueFile = { bases: [base], recipes: [recipe], onnx: {}, adapters, weightSets: {} };
  compileCatalogue(catalogueFileSchema.parse(catalogue));
}
