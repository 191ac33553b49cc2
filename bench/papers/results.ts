// What is recorded of a paper's variants: those that ship under scores/, the others beside this
// file, with their recipes.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { readRecipes } from "../../build/catalogue.ts";
import { catalogueFile, root } from "../../build/paths.ts";
import type { ItemResult, RecordedScore } from "../../evaluation/index.ts";
import { readRecorded } from "../../evaluation/offline/pack-recorded.ts";
import { compileCatalogue } from "../../src/variants/catalogue.ts";
import { catalogueFileSchema } from "../../src/variants/catalogue-file.ts";
import { compilePlan, type Plan } from "../../src/variants/plan.ts";
import { BASE } from "./paper.ts";

/**
 * Recipes and scores of variants that papers need and that do not ship; `FRANKEN_ARTIFACTS` of the
 * commands that make them.
 */
export const variantsDir = join(root, "bench/papers/variants");

export interface Results {
  /** Undefined: the variant is not made, or its costs are not those of its slots alone. */
  planOf(variant: string): Plan | undefined;
  scoreOf(variant: string, task: string): Pick<RecordedScore, "results"> | undefined;
}

/** @throws Error that names the file that is damaged */
export async function readResults(): Promise<Results> {
  const file = catalogueFileSchema.parse(JSON.parse(await readFile(catalogueFile, "utf8")));
  const plans = new Map([...compileCatalogue(file)].map(([id, { plan }]) => [id, plan]));
  const recipes = existsSync(join(variantsDir, "recipes")) ? await readRecipes(join(variantsDir, "recipes")) : [];
  for (const recipe of recipes) {
    const base = file.bases.find(({ id }) => id === recipe.base);
    if (base && "slots" in recipe && !recipe.tensors && !recipe.adapter && !recipe.layers) {
      plans.set(recipe.id, compilePlan(recipe, base));
    }
  }
  const scores = [...(await readRecorded()), ...(await readRecorded(join(variantsDir, "scores")))];
  return {
    planOf: (variant) => plans.get(variant),
    scoreOf: (variant, task) => scores.find((score) => score.variant === variant && score.task === task),
  };
}

/** Results of two variants on the items that both have. */
export function sharedResults(
  { scoreOf }: Results,
  variant: string,
  task: string,
): { readonly own: ItemResult[]; readonly base: ItemResult[] } {
  const [own, base] = [scoreOf(variant, task)?.results, scoreOf(BASE, task)?.results];
  const items = [...(own?.keys() ?? [])].filter((item) => base?.has(item));
  const some = (all: typeof own): ItemResult[] => items.map((item) => all?.get(item) as ItemResult);
  return { own: some(own), base: some(base) };
}
