// What the replies of chat completions and of completions have in common.
import { z } from "@hono/zod-openapi";
import type { Downshift } from "../../serving/index.ts";

export interface ReplyOptions {
  readonly id: string;
  /** Unix seconds. */
  readonly created: number;
  readonly model: string;
}

export const replyHead = {
  created: z.int().openapi({ description: "Unix seconds." }),
  model: z.string().openapi({ example: "smollm2-135m" }),
  system_fingerprint: z.string().openapi({
    description: "Changes when the same request with the same seed may get another text.",
    example: "fp_3fb1c0a2d94e",
  }),
};

export const frankenSchema = z
  .object({
    downshifts: z.array(z.object({ variant: z.string(), from_token: z.int() })).openapi({
      description: "Variants that went on with the answer, each from one of its tokens on, counted from 0.",
    }),
  })
  .optional()
  .openapi({ description: "Only in replies that a budget with `downshift` made go on with a lighter variant." });

/** The field `franken`, where there is something to tell. */
export const franken = (downshifts: readonly Downshift[]): { franken?: z.infer<typeof frankenSchema> } =>
  downshifts.length > 0 ? { franken: { downshifts: [...downshifts] } } : {};
