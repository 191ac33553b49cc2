// What an experiment of this gateway is: the pure schema, with the routing policies that there are.
import { z } from "@hono/zod-openapi";
import { createExperimentSchema } from "../schema.ts";

/** How an arm with the model `auto` chooses, where it differs from the gateway's way. */
export const policySchema = z.strictObject({
  /** What variants are ranked by. Default: as the request's budget says. */
  quality: z.enum(["hellaswag", "perplexity"]).optional(),
  /** Probability with which limits in time are to be kept, unless the request or its key says. */
  quantile: z.number().gt(0.5).lt(1).optional(),
  /** Lets `research` variants answer, unless the request or its key says. */
  allow_research: z.boolean().optional(),
  /** What to look for among the variants that meet the budget, unless the request or its key says. */
  prefer: z.enum(["quality", "speed", "cost"]).optional(),
});
export type ArmPolicy = z.infer<typeof policySchema>;

export const experimentSchema = createExperimentSchema(policySchema);
export type ExperimentSpec = z.infer<typeof experimentSchema>;
export type Arm = ExperimentSpec["arms"][number];
