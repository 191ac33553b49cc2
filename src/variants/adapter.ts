// A low-rank adapter as built: which linear of which slot it changes, and where its two factors lie in its image.
import { z } from "zod";
import { fileSchema } from "./base.ts";
import { LINEARS } from "./layer-tensors.ts";
import { MAX_RANK } from "./plan.ts";

export const adapterSchema = z.strictObject({
  /** sha256 of the image. */
  digest: z.string(),
  /** The image is the concatenation of these. */
  parts: z.array(fileSchema).min(1),
  imageBytes: z.int().positive(),
  /** Adds `scale * B (A x)` to what the linear gives for x. Both factors are Q8_0, interleaved as the base's tensors. */
  linears: z.array(
    z.strictObject({
      slot: z.int().nonnegative(),
      linear: z.enum(LINEARS),
      rank: z.int().positive().max(MAX_RANK),
      scale: z.number(),
      /** Offset of A, `[rank in blocks of 32, cols]`. */
      a: z.int().nonnegative(),
      /** Offset of B, `[rows, rank in blocks of 32]`. */
      b: z.int().nonnegative(),
    }),
  ),
});
export type Adapter = z.infer<typeof adapterSchema>;
