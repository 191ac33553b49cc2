// GET /v1/variants and GET /v1/variants/{id}: what each variant is made of, costs and scores.
import { createRoute, z } from "@hono/zod-openapi";
import { ApiError, errorResponses } from "../openai/index.ts";
import type { Variant } from "../variants/index.ts";
import { onnxRecipeSchema, slotRecipeSchema, variantDigest } from "../variants/index.ts";
import { bearer } from "./bearer.ts";
import type { AddRoutes } from "./context.ts";
import { describeHealth, healthSchema, type Measured, readMeasured, scoreSchema } from "./score-schema.ts";

const variantSchema = z
  .object({
    id: z.string().openapi({ example: "smollm2-135m" }),
    object: z.literal("variant"),
    digest: z
      .string()
      .openapi({ description: "Of what it computes: the same for two variants that compute the same." }),
    recipe: z
      .union([slotRecipeSchema, onnxRecipeSchema])
      .openapi({ description: "How it differs from its base, as in src/variants/recipes." }),
    plan: z.object({
      base_digest: z.string().openapi({ description: "Of the weights that it runs on." }),
      adapter_digest: z.string().nullable().openapi({ description: "Of its low-rank adapter, if it has one." }),
      context_length: z.int().openapi({ description: "Tokens of prompt and reply together, at most." }),
      kv_slots: z.int().openapi({ description: "Attention sublayers, each with a KV cache." }),
      weights: z.string().openapi({
        description:
          "Which weights it runs on, as /health lists them: its base's, or those with its tensors in their place.",
      }),
      weight_bytes: z.int().openapi({ description: "Bytes of weights read for one token." }),
      nominal_weight_bytes: z.int().openapi({
        description:
          "The same with as many bits a weight as its method counts, where it stores them in a wider container.",
      }),
      multiply_adds_per_token: z
        .int()
        .openapi({ description: "Of all matrix products, attention over the context aside." }),
      kv_bytes_per_token: z.int().openapi({ description: "At 16 bits a value." }),
    }),
    health: healthSchema,
    scores: z.array(scoreSchema),
  })
  .openapi("Variant");

const listRoute = createRoute({
  method: "get",
  path: "/v1/variants",
  summary: "List the variants with their recipes and scores",
  security: [bearer],
  responses: {
    200: {
      description: "All variants that this gateway serves.",
      content: {
        "application/json": {
          schema: z.object({ object: z.literal("list"), data: z.array(variantSchema) }).openapi("VariantList"),
        },
      },
    },
    ...errorResponses("invalid_api_key", "internal_error", "misconfigured"),
  },
});

const variantRoute = createRoute({
  method: "get",
  path: "/v1/variants/{id}",
  summary: "Describe one variant",
  security: [bearer],
  request: { params: z.object({ id: z.string().openapi({ example: "smollm2-135m" }) }) },
  responses: {
    200: { description: "The variant.", content: { "application/json": { schema: variantSchema } } },
    ...errorResponses("invalid_api_key", "model_not_found", "internal_error", "misconfigured"),
  },
});

export const addVariantRoutes: AddRoutes = (app, { catalogue, scores }) => {
  const describe = (
    { recipe, plan }: Variant,
    { scores: all, quarantines }: Measured,
  ): z.infer<typeof variantSchema> => ({
    id: recipe.id,
    object: "variant",
    digest: variantDigest(plan),
    recipe,
    plan: {
      base_digest: plan.base.digest,
      adapter_digest: plan.adapter?.digest ?? null,
      context_length: plan.contextLength,
      kv_slots: plan.kvSlots,
      weights: plan.base.id,
      weight_bytes: plan.costs.weightBytes,
      nominal_weight_bytes: plan.costs.nominalBytes,
      multiply_adds_per_token: plan.costs.multiplyAdds,
      kv_bytes_per_token: plan.costs.kvBytes,
    },
    health: describeHealth(quarantines, recipe.id),
    scores: all.filter(({ variant }) => variant === recipe.id),
  });
  app.openapi(listRoute, async (c) => {
    const measured = await readMeasured(scores, (promise) => c.executionCtx.waitUntil(promise));
    const data = [...catalogue.values()].map((variant) => describe(variant, measured));
    return c.json({ object: "list" as const, data }, 200);
  });
  app.openapi(variantRoute, async (c) => {
    const { id } = c.req.valid("param");
    const variant = catalogue.get(id);
    if (!variant) {
      throw new ApiError(
        "model_not_found",
        `The variant '${id.slice(0, 100)}' does not exist. GET /v1/variants lists the variants there are.`,
        { param: "id" },
      );
    }
    const measured = await readMeasured(scores, (promise) => c.executionCtx.waitUntil(promise));
    return c.json(describe(variant, measured), 200);
  });
};
