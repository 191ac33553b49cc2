// Public API of variants: recipes, plans compiled from them, weight sets, the catalogue.
export type { Adapter } from "./adapter.ts";
export { AUTO } from "./auto.ts";
export {
  type BaseModel,
  type BuiltFile,
  fileSchema,
  type ModelConfig,
  type RopeScaling,
  ropeScalingSchema,
  type Tensor,
  tensorSchema,
} from "./base.ts";
export { type Catalogue, compileCatalogue, type Variant } from "./catalogue.ts";
export { type CatalogueFile, catalogueFileSchema } from "./catalogue-file.ts";
export { checkpointOf } from "./checkpoint.ts";
export { variantDigest } from "./digest.ts";
export {
  LINEARS,
  type Linear,
  linearTensor,
  linearWeight,
  parseTensorName,
  SUBLAYER_TENSORS,
  sublayerOf,
  typesOf,
} from "./layer-tensors.ts";
export { layOut, type Run, runsOf, sharingWith } from "./layout.ts";
export {
  type AttentionPlan,
  compilePlan,
  MAX_RANK,
  type MlpPlan,
  type Plan,
  PlanError,
  type PlanSlot,
  sharedKv,
  tensorsOf,
} from "./plan.ts";
export {
  onnxRecipeSchema,
  provenanceSchema,
  type Recipe,
  type Slot,
  type SlotRecipe,
  STATUSES,
  type Status,
  type StoredTensor,
  slotRecipeSchema,
  slotSchema,
  statusSchema,
} from "./recipe.ts";
