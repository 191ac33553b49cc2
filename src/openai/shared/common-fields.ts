// Request fields that say who asks and how it is to be kept, and not what is to be answered: checked, so that a mistake in them is told.
import { z } from "@hono/zod-openapi";

const MAX_PAIRS = 16;

export const metadataSchema = z
  .record(z.string().max(64, "keys have at most 64 characters"), z.string().max(512))
  .refine((pairs) => Object.keys(pairs).length <= MAX_PAIRS, `expected at most ${MAX_PAIRS} pairs`)
  .openapi({
    description: `Has no effect on the reply. At most ${MAX_PAIRS} pairs; keys of at most 64 characters, values of at most 512.`,
  });

/** The tier that answers everything. */
export const SERVICE_TIER = "default";

/** What the field `user` is for. */
export const USER = "Keeps its arm in an A/B experiment; no other effect.";

export const commonFields = {
  metadata: metadataSchema.nullish(),
  user: z.string().nullish().openapi({ description: USER, deprecated: true }),
  safety_identifier: z.string().max(64).nullish().openapi({ description: "Stands for `user` where that is absent." }),
  service_tier: z
    .enum(["auto", SERVICE_TIER])
    .nullish()
    .openapi({ description: `There is one tier: where this is given, the reply says \`${SERVICE_TIER}\`.` }),
  prompt_cache_key: z
    .string()
    .nullish()
    .openapi({ description: "Has no effect: prompts that begin alike are found under each API key without it." }),
  prompt_cache_retention: z
    .enum(["in-memory", "in_memory", "24h"])
    .nullish()
    .openapi({ description: "Has no effect: prompts are kept as long as there is room." }),
};
