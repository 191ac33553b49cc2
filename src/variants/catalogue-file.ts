// The file that the build writes and both Workers import. Its schema is apart from what compiles it: the build has checked the file, and
// a replica has no memory to spare for a validator.
import { z } from "zod";
import { adapterSchema } from "./adapter.ts";
import { baseModelSchema, fileSchema } from "./base.ts";
import { recipeSchema } from "./recipe.ts";

/** What the build writes to dist/catalogue.json. */
export const catalogueFileSchema = z.strictObject({
  /** The checkpoints, then the weight sets made of them and of the tensors that recipes change. */
  bases: z.array(baseModelSchema).min(1),
  recipes: z.array(recipeSchema).min(1),
  /** For a recipe with `onnx`: the parts of its file, by recipe id. */
  onnx: z.record(z.string(), z.array(fileSchema)),
  /** For a recipe with `adapter`: the adapter as built, by recipe id. */
  adapters: z.record(z.string(), adapterSchema).optional(),
  /** For a recipe with `tensors`: the id of its weight set among `bases`, by recipe id. */
  weightSets: z.record(z.string(), z.string()).optional(),
});
export type CatalogueFile = z.infer<typeof catalogueFileSchema>;
