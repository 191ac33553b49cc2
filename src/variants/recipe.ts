// A recipe says how a variant differs from its base model. This schema is the only definition of the format.
import { z } from "zod";
import { AUTO } from "./auto.ts";

const id = z
  .string()
  .regex(/^[a-z0-9][a-z0-9.-]*$/, "use lower-case letters, digits, dots and hyphens")
  .max(100);

/** One entry of the execution list: a layer of the base with its attention, its MLP or both. A layer may come back any number of times. */
export const slotSchema = z
  .strictObject({
    layer: z.int().nonnegative(),
    attn: z.boolean().default(true),
    mlp: z.boolean().default(true),
  })
  .refine((slot) => slot.attn || slot.mlp, "a slot without attention and MLP does nothing: leave it out");
export type Slot = z.infer<typeof slotSchema>;

/** Where a variant comes from: a paper or a file, and the place in it. */
const originSchema = z.strictObject({
  source: z.string().min(1),
  section: z.string().min(1),
});

/** What a variant's status says of its text. Of those that ship, scores decide (scripts/status.ts). */
export const STATUSES = {
  stable: "Meant for use.",
  experimental: "Its quality is visibly reduced.",
  research: "Kept to study: its text is broken, or nobody has measured that it is not.",
} as const;
export type Status = keyof typeof STATUSES;
export const statusSchema = z.enum(Object.keys(STATUSES) as [Status, ...Status[]]);

const common = {
  $schema: z.string().optional(),
  id: id.refine((value) => value !== AUTO, `${AUTO} is the model that chooses among the variants`),
  /** Folder under models/ or artifacts/models/ that holds the checkpoint; its tokenizer and chat template serve this variant. */
  base: id,
  title: z.string().min(1),
  origin: originSchema,
  status: statusSchema,
};

/** A low-rank adapter (LoRA: Hu et al., arXiv 2106.09685; EoRA: Liu et al., arXiv 2410.21271) in PEFT's safetensors form. */
const adapterFileSchema = z.strictObject({
  /** Path from the project's root; artifacts/ is the folder that FRANKEN_ARTIFACTS names, where it is set. */
  file: z.string().regex(/^(models|artifacts)\/.+\.safetensors$/, "a .safetensors file under models/ or artifacts/"),
  /** What PEFT's layer numbers count: layers of the base, or slots of this recipe. */
  numbering: z.enum(["layers", "slots"]).default("layers"),
  /** Factor on B A x; default: lora_alpha and r of the adapter_config.json beside the file. */
  scale: z.number().optional(),
});

const digest = z.string().regex(/^[0-9a-f]{64}$/, "a sha256 of 64 lower-case hexadecimal digits");

/** A tensor whose bytes are artifacts/tensors/<sha256>.bin: GGUF blocks of the type, row-major, q and k rows in Hugging Face's order. */
export const storedTensorSchema = z.strictObject({
  sha256: digest,
  type: z.enum(["f32", "q4_1", "q8_0"]),
  rows: z.int().positive(),
  cols: z.int().positive(),
  /** Bits a weight as the method counts them, where the type's are more. */
  bits: z.number().positive().optional(),
});
export type StoredTensor = z.infer<typeof storedTensorSchema>;

/** How compress/ made a variant. */
export const provenanceSchema = z.strictObject({
  method: z.string().min(1),
  arguments: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  /** Of the checkpoint that it was made from. */
  checkpoint: digest,
  /** Of the calibration tokens, where the method needs some. */
  calibration: digest.optional(),
  seed: z.int().optional(),
  /** Of the arithmetic. */
  version: z.string().min(1),
});

/** A variant made of the base model's layers, or of others that go with its embedding and head. */
export const slotRecipeSchema = z.strictObject({
  ...common,
  slots: z.array(slotSchema).min(1).max(1024),
  /**
   * Folder of layers that take the place of all the base's, and that slots and tensors count: from the project's root, where
   * artifacts/ is the folder that FRANKEN_ARTIFACTS names. Recipes that name one folder are served from one weight set, of its name.
   */
  layers: z
    .string()
    .regex(/^(models|artifacts\/models)\/[a-z0-9][a-z0-9.-]*$/, "a folder in models/ or artifacts/models/")
    .optional(),
  /**
   * By name, per layer of the base: what takes the place of the base's tensor, of another shape perhaps, or is new, as
   * `blk.0.attn_output.bias` and `blk.0.ffn_down.bias`.
   */
  tensors: z.record(z.string(), storedTensorSchema).optional(),
  adapter: adapterFileSchema.optional(),
  provenance: provenanceSchema.optional(),
});

/** A LLaMA decoder that a user brings as an ONNX file with transformers.js's input and output names. */
export const onnxRecipeSchema = z.strictObject({
  ...common,
  onnx: z.strictObject({
    /** Path from the project's root. */
    file: z.string().regex(/\.onnx$/, "an .onnx file"),
    contextLength: z.int().positive(),
  }),
});

export const recipeSchema = z.union([slotRecipeSchema, onnxRecipeSchema]);
export type SlotRecipe = z.infer<typeof slotRecipeSchema>;
export type OnnxRecipe = z.infer<typeof onnxRecipeSchema>;
export type Recipe = z.infer<typeof recipeSchema>;
