// Reads every recipe, checks it against its base and writes the catalogue that both Workers import.
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { TokenizerFile } from "../formats/tokenizer/hugging-face-form.ts";
import type { Adapter, BuiltFile, CatalogueFile } from "../src/variants/index.ts";
import { compileCatalogue, onnxRecipeSchema, type Recipe, slotRecipeSchema } from "../src/variants/index.ts";
import { packAdapter, readAdapter } from "./adapter.ts";
import { readCheckpoint } from "./checkpoint.ts";
import { addParts } from "./content-store.ts";
import { deriveBase } from "./derived-weights.ts";
import { buildLayers, layersId, openLayers } from "./layers.ts";
import { artifactsDir, recipeFile, recipesDir } from "./paths.ts";
import type { Output } from "./weight-image.ts";
import { type BuiltBase, buildBase } from "./weight-set.ts";

export interface BuiltCatalogue {
  readonly catalogue: CatalogueFile;
  /** By base model. */
  readonly tokenizers: Record<string, TokenizerFile>;
}

/** The recipes that ship, then the user's: what answers where nobody chooses stays the first of those that ship. */
export async function readAllRecipes(): Promise<Recipe[]> {
  const own = join(artifactsDir(), "recipes");
  return [...(await readRecipes()), ...(existsSync(own) ? await readRecipes(own) : [])];
}

/** A folder's recipes in the order in which they are listed: by name, with numbers in numeric order. */
export async function readRecipes(dir = recipesDir): Promise<Recipe[]> {
  const files = (await readdir(dir)).filter((name) => name.endsWith(".json"));
  const recipes = await Promise.all(
    files.map(async (name) => {
      const parsed = parseRecipe(await readFile(join(dir, name), "utf8"), name);
      if (`${parsed.id}.json` !== name)
        throw new Error(`recipes/${name} has the id ${parsed.id}: name the file ${parsed.id}.json`);
      return parsed;
    }),
  );
  return recipes.sort((a, b) => a.id.localeCompare(b.id, "en", { numeric: true }));
}

function parseRecipe(text: string, name: string): Recipe {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new Error(`recipes/${name} is not JSON: ${(error as Error).message}`);
  }
  // Not by the union of both kinds, which would not say what is wrong with either.
  const schema = typeof json === "object" && json && "onnx" in json ? onnxRecipeSchema : slotRecipeSchema;
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw new Error(`recipes/${name} is not a recipe:\n${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

/**
 * @param output receives the files that the catalogue names
 * @throws Error or PlanError that names the part, recipe, slot, layer or tensor at fault
 */
export async function buildCatalogue(recipes: readonly Recipe[], output: Output): Promise<BuiltCatalogue> {
  const tokenizers: Record<string, TokenizerFile> = {};
  const checkpoints = new Map<string, BuiltBase>();
  for (const id of new Set(recipes.map((recipe) => recipe.base))) {
    const built = await buildBase(await readCheckpoint(id), output);
    checkpoints.set(id, built);
    tokenizers[id] = built.tokenizer;
  }
  const bases = new Map([...checkpoints].map(([id, { base }]) => [id, base]));
  const layered = await buildLayered(recipes, checkpoints, output);
  const weightSets: Record<string, string> = {};
  const adapters: Record<string, Adapter> = {};
  for (const recipe of recipes) {
    if (!("slots" in recipe)) continue;
    const built = recipe.layers === undefined ? checkpoints.get(recipe.base) : layered.get(recipe.layers);
    if (!built) continue;
    const base = recipe.tensors ? await deriveBase(recipe, built, output) : built.base;
    bases.set(base.id, base);
    if (base.id !== recipe.base) weightSets[recipe.id] = base.id;
    if (recipe.adapter) {
      const { adapter, image } = packAdapter(await readAdapter(recipe.id, recipe.adapter), recipe, base);
      adapters[recipe.id] = { ...adapter, parts: await addParts(output.files, image) };
    }
  }
  const onnx: Record<string, BuiltFile[]> = {};
  for (const recipe of recipes) {
    if (!("onnx" in recipe)) continue;
    const bytes = await readFile(recipeFile(recipe.onnx.file)).catch(() => {
      throw new Error(`${recipe.id}: ${recipe.onnx.file} is missing`);
    });
    onnx[recipe.id] = await addParts(output.files, bytes);
  }
  const catalogue: CatalogueFile = { bases: [...bases.values()], recipes: [...recipes], onnx, adapters, weightSets };
  compileCatalogue(catalogue);
  return { catalogue, tokenizers };
}

/**
 * The bases with other layers, by the folders that recipes name.
 * @throws Error that names the folder, and what of it is missing, damaged, of another base, or called as another weight set is
 */
async function buildLayered(
  recipes: readonly Recipe[],
  checkpoints: ReadonlyMap<string, BuiltBase>,
  output: Output,
): Promise<Map<string, BuiltBase>> {
  const made = new Map<string, BuiltBase>();
  const named = recipes.flatMap((recipe) =>
    "slots" in recipe && recipe.layers ? [[recipe.layers, recipe] as const] : [],
  );
  for (const folder of new Set(named.map(([folder]) => folder))) {
    const { base, ...layers } = await openLayers(folder);
    const other = named.find(([name, recipe]) => name === folder && recipe.base !== base)?.[1];
    if (other) throw new Error(`${other.id}: ${folder} has layers for the base ${base}, not for ${other.base}`);
    const id = layersId(folder);
    if (checkpoints.has(id) || [...made.values()].some((set) => set.base.id === id)) {
      throw new Error(`${folder}: ${id} is what other weights are called`);
    }
    made.set(folder, await buildLayers(id, layers, checkpoints.get(base as string) as BuiltBase, output));
  }
  return made;
}
