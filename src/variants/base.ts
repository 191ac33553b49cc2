// What the build knows of a base checkpoint: its shapes, and where each tensor lies in the weight image.
import { z } from "zod";

/** How rotation frequencies are stretched, in the terms of Hugging Face's `rope_scaling`. */
export const ropeScalingSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("linear"), factor: z.number().positive() }),
  z.strictObject({
    type: z.literal("llama3"),
    factor: z.number().positive(),
    lowFreqFactor: z.number().positive(),
    highFreqFactor: z.number().positive(),
    originalContextLength: z.int().positive(),
  }),
]);
export type RopeScaling = Readonly<z.infer<typeof ropeScalingSchema>>;

/** Shapes of a LLaMA decoder, in the checkpoint's own terms. */
export const modelConfigSchema = z.strictObject({
  layers: z.int().positive(),
  hidden: z.int().positive(),
  heads: z.int().positive(),
  kvHeads: z.int().positive(),
  headDim: z.int().positive(),
  ffn: z.int().positive(),
  vocab: z.int().positive(),
  contextLength: z.int().positive(),
  ropeTheta: z.number().positive(),
  /** Absent: not stretched. */
  ropeScaling: ropeScalingSchema.optional(),
  rmsEps: z.number().positive(),
  bosTokenId: z.int().nonnegative(),
  eosTokenIds: z.array(z.int().nonnegative()).min(1),
  /** Ids that stand for nothing, as rows that fill a vocabulary up: each from its first to before its end. Absent: there are none. */
  unused: z.array(z.tuple([z.int().nonnegative(), z.int().positive()])).optional(),
});
export type ModelConfig = z.infer<typeof modelConfigSchema>;

/**
 * A tensor in the weight image. `rows` are output features, `cols` input features (a norm has one row).
 * Types: `f32`; `q4_1`: per 32 columns fp16 scale, fp16 minimum, 32 nibbles; `q8_0`: per 32 columns fp16 scale, 32 int8. Of the last two,
 * eight rows are interleaved as build/kernel-layout.ts describes, and rows of zeros fill the last eight. The q and k projections are in
 * Hugging Face's row order (rotate-half RoPE), not in GGUF's permuted one.
 */
export const tensorSchema = z.strictObject({
  name: z.string(),
  digest: z.string(),
  type: z.enum(["f32", "q4_1", "q8_0"]),
  rows: z.int().positive(),
  cols: z.int().positive(),
  offset: z.int().nonnegative(),
  bytes: z.int().positive(),
});
export type Tensor = z.infer<typeof tensorSchema>;

export const fileSchema = z.strictObject({ file: z.string(), sha256: z.string(), bytes: z.int().positive() });
export type BuiltFile = z.infer<typeof fileSchema>;

/** A set of weights as built, of a checkpoint or of one with some tensors changed: the image is the concatenation of `parts`; tensors lie in it at 64-byte boundaries. */
export const baseModelSchema = z.strictObject({
  /** The checkpoint's, or that of layers of their own; with changed tensors, a `+` and the beginning of the digest come after it. */
  id: z.string(),
  /** Whose tensors some of these take the place of; absent for a checkpoint itself. */
  checkpoint: z.string().optional(),
  /** sha256 over the tensors' names, types, shapes and digests. */
  digest: z.string(),
  created: z.int().describe("Unix seconds of the checkpoint's release"),
  origin: z.string(),
  license: z.string(),
  config: modelConfigSchema,
  tensors: z.array(tensorSchema),
  imageBytes: z.int().positive(),
  parts: z.array(fileSchema).min(1),
  /** The bytes of its tokens, as src/engine/grammar/vocabulary.ts lays them out. */
  vocabulary: fileSchema,
});
export type BaseModel = z.infer<typeof baseModelSchema>;
