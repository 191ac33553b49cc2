// The variants that this build serves: base models and recipes as the build validated them, compiled into plans.
import type { CatalogueFile } from "./catalogue-file.ts";
import { compileOnnxPlan, compilePlan, type Plan, PlanError } from "./plan.ts";
import type { Recipe } from "./recipe.ts";

export interface Variant {
  readonly recipe: Recipe;
  readonly plan: Plan;
}

/** Variants by id, in the order in which they are listed. */
export type Catalogue = ReadonlyMap<string, Variant>;

/**
 * @throws PlanError when a recipe asks for what its base does not have, or two recipes share an id
 */
export function compileCatalogue(file: CatalogueFile): Catalogue {
  const bases = new Map(file.bases.map((base) => [base.id, base]));
  const catalogue = new Map<string, Variant>();
  for (const recipe of file.recipes) {
    const weights = file.weightSets?.[recipe.id] ?? recipe.base;
    const base = bases.get(weights);
    if (!base) throw new PlanError(`${recipe.id}: base ${weights} is not among ${[...bases.keys()].join(", ")}`);
    if (catalogue.has(recipe.id)) throw new PlanError(`${recipe.id}: two recipes have this id`);
    const plan =
      "slots" in recipe
        ? compilePlan(recipe, base, file.adapters?.[recipe.id])
        : compileOnnxPlan(recipe, base, file.onnx[recipe.id] ?? []);
    catalogue.set(recipe.id, { recipe, plan });
  }
  return catalogue;
}
