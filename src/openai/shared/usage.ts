// How many tokens a reply took, as chat completions and completions tell it.
import { z } from "@hono/zod-openapi";
import type { TokenCounts } from "../../serving/index.ts";

/** Of both APIs' usages. */
export const cacheWriteSchema = z
  .literal(0)
  .openapi({ description: "What a prompt leaves for later ones costs nothing, and is not counted." });

export const usageSchema = z
  .object({
    prompt_tokens: z.int(),
    completion_tokens: z.int().openapi({
      description: "Tokens generated for all choices, end tokens not among them.",
    }),
    total_tokens: z.int(),
    prompt_tokens_details: z.object({
      cached_tokens: z.int().openapi({ description: "Tokens of the prompt that an earlier request had computed." }),
      cache_write_tokens: cacheWriteSchema,
    }),
    completion_tokens_details: z.object({
      reasoning_tokens: z.literal(0),
      accepted_prediction_tokens: z.literal(0),
      rejected_prediction_tokens: z.literal(0),
    }),
  })
  .openapi("Usage");

export const usage = ({ promptTokens, cachedTokens, completionTokens }: TokenCounts): z.infer<typeof usageSchema> => ({
  prompt_tokens: promptTokens,
  completion_tokens: completionTokens,
  total_tokens: promptTokens + completionTokens,
  prompt_tokens_details: { cached_tokens: cachedTokens, cache_write_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 0, accepted_prediction_tokens: 0, rejected_prediction_tokens: 0 },
});
