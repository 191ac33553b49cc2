// Reads every recipe, checks it against its base and writes the catalogue that both Workers import.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Adapter } from "../../src/variants/adapter.ts";
import type { BuiltFile } from "../../src/variants/base.ts";
import { compileCatalogue } from "../../src/variants/catalogue.ts";
import type { CatalogueFile } from "../../src/variants/catalogue-file.ts";
import { onnxRecipeSchema, type Recipe, slotRecipeSchema } from "../../src/variants/recipe.ts";
import { packAdapter, readAdapter } from "./adapter.ts";
import { readCheckpoint } from "./checkpoint.ts";
import { recipesDir, root } from "./paths.ts";
import type { TokenizerFile } from "./tokenizer.ts";
import { addParts, buildBase, type Files } from "./weights.ts";

export interface BuiltCatalogue {
  readonly catalogue: CatalogueFile;
  readonly weights: Files;
  /** By base model. */
  readonly tokenizers: Record<string, TokenizerFile>;
}

/** Recipes in the order in which they are listed: unpruned models first, then by name with numbers in numeric order. */
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

/** @throws Error or PlanError that names the part, recipe, slot, layer or tensor at fault */
export async function buildCatalogue(recipes: readonly Recipe[]): Promise<BuiltCatalogue> {
  const weights: Files = new Map();
  const tokenizers: Record<string, TokenizerFile> = {};
  const bases = [];
  for (const id of new Set(recipes.map((recipe) => recipe.base))) {
    const built = buildBase(await readCheckpoint(id));
    bases.push(built.base);
    for (const [name, bytes] of built.weights) weights.set(name, bytes);
    tokenizers[id] = built.tokenizer;
  }
  const adapters: Record<string, Adapter> = {};
  for (const recipe of recipes) {
    const base = bases.find(({ id }) => id === recipe.base);
    if (!("slots" in recipe) || !recipe.adapter || !base) continue;
    const { adapter, image } = packAdapter(await readAdapter(recipe.id, recipe.adapter), recipe, base);
    adapters[recipe.id] = { ...adapter, parts: addParts(weights, image) };
  }
  const onnx: Record<string, BuiltFile[]> = {};
  for (const recipe of recipes) {
    if (!("onnx" in recipe)) continue;
    const bytes = await readFile(join(root, recipe.onnx.file)).catch(() => {
      throw new Error(`${recipe.id}: ${recipe.onnx.file} is missing`);
    });
    onnx[recipe.id] = addParts(weights, bytes);
  }
  const catalogue: CatalogueFile = { bases, recipes: [...recipes], onnx, adapters };
  compileCatalogue(catalogue);
  return { catalogue, weights, tokenizers };
}
