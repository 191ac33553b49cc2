// `logit_bias`: token ids, which come as strings because they are keys of an object, and what is added to their logits.
import { z } from "@hono/zod-openapi";

/** As many as OpenAI's API takes. */
const MAX_BIASED = 1024;

export const logitBiasSchema = z
  .record(z.string().regex(/^\d{1,7}$/, "keys are token ids"), z.number().min(-100).max(100))
  .refine((biases) => Object.keys(biases).length <= MAX_BIASED, `at most ${MAX_BIASED} tokens can be biased`)
  .openapi({
    description: "Adds to the logits of tokens, by their ids: -100 all but bans one, 100 all but forces it.",
  });

/** @returns pairs of token id and bias, by id; undefined when none has an effect */
export function parseLogitBias(
  biases: z.infer<typeof logitBiasSchema> | null | undefined,
): readonly (readonly [number, number])[] | undefined {
  const pairs = Object.entries(biases ?? {}).filter(([, bias]) => bias !== 0);
  return pairs.length > 0
    ? pairs.map(([id, bias]) => [Number(id), bias] as const).sort(([a], [b]) => a - b)
    : undefined;
}
