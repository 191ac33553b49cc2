// GET /v1/models and GET /v1/models/{model}: the variants that this gateway serves.
import { createRoute, z } from "@hono/zod-openapi";
import { ApiError, errorResponses } from "../openai/index.ts";
import { weightsToChooseFrom } from "../serving/index.ts";
import { AUTO, type Catalogue, STATUSES, statusSchema, type Variant } from "../variants/index.ts";
import { bearer } from "./bearer.ts";
import type { AddRoutes } from "./context.ts";
import { describeHealth, healthSchema, type Measured, readMeasured, scoreSchema } from "./score-schema.ts";

const modelSchema = z
  .object({
    id: z.string().openapi({ example: "smollm2-135m" }),
    object: z.literal("model"),
    created: z.int().openapi({ description: "Unix seconds of the base checkpoint's release." }),
    owned_by: z.string(),
    metadata: z.object({
      title: z.string(),
      // A schema made before @hono/zod-openapi was loaded has no `openapi`; its clone has.
      status: statusSchema.clone().openapi({
        description: "Of a variant that ships, its recorded scores decide.",
      }),
      description: z.string().openapi({
        description: "What the status says of the variant's text.",
        examples: Object.entries(STATUSES).map(([status, meaning]) => `${status}: ${meaning}`),
      }),
      origin: z.object({ source: z.string(), section: z.string() }),
      base: z.string().openapi({ description: "The checkpoint whose layers the variant is made of." }),
      context_length: z.int().openapi({ description: "Tokens of prompt and reply together, at most." }),
      slots: z
        .array(z.object({ layer: z.int(), attn: z.boolean(), mlp: z.boolean() }))
        .nullable()
        .openapi({ description: "What is executed, in order; null for a model that a user brought as ONNX." }),
      costs: z.object({
        weight_bytes: z.int().openapi({ description: "Bytes of weights read for one token." }),
        multiply_adds_per_token: z
          .int()
          .openapi({ description: "Of all matrix products, attention over the context aside." }),
        kv_bytes_per_token: z.int().openapi({ description: "At 16 bits a value." }),
      }),
      scores: z
        .array(scoreSchema.pick({ task: true, kind: true, items: true, metrics: true, measured_at: true }))
        .openapi({ description: "The latest ones; GET /v1/scores has all there is to say of them." }),
      health: healthSchema,
    }),
  })
  .openapi("Model");

const autoSchema = z
  .object({
    id: z.literal(AUTO),
    object: z.literal("model"),
    created: z.int(),
    owned_by: z.string(),
    metadata: z.object({
      title: z.string(),
      base: z.string(),
      variants: z.int().openapi({ description: "How many variants it chooses from." }),
    }),
  })
  .openapi("AutoModel", { description: "Not a variant: stands for the best one within a request's budget." });

const listRoute = createRoute({
  method: "get",
  path: "/v1/models",
  summary: "List the models",
  security: [bearer],
  responses: {
    200: {
      description: "All variants that this gateway serves, and `auto`, which chooses among them.",
      content: {
        "application/json": {
          schema: z
            .object({ object: z.literal("list"), data: z.array(z.union([modelSchema, autoSchema])) })
            .openapi("ModelList"),
        },
      },
    },
    ...errorResponses("invalid_api_key", "internal_error", "misconfigured"),
  },
});

const modelRoute = createRoute({
  method: "get",
  path: "/v1/models/{model}",
  summary: "Describe one model",
  security: [bearer],
  request: { params: z.object({ model: z.string().openapi({ example: "smollm2-135m" }) }) },
  responses: {
    200: {
      description: "The variant.",
      content: { "application/json": { schema: z.union([modelSchema, autoSchema]) } },
    },
    ...errorResponses("invalid_api_key", "model_not_found", "internal_error", "misconfigured"),
  },
});

export const addModelRoutes: AddRoutes = (app, deps) => {
  const { catalogue, scores } = deps;
  app.openapi(listRoute, async (c) => {
    const measured = await readMeasured(scores, (promise) => c.executionCtx.waitUntil(promise));
    const variants = [...catalogue.values()].map((variant) => describe(variant, measured));
    const auto = describeAuto(catalogue, await weightsToChooseFrom(deps));
    return c.json({ object: "list" as const, data: [...variants, ...auto] }, 200);
  });
  app.openapi(modelRoute, async (c) => {
    const { model } = c.req.valid("param");
    const variant = catalogue.get(model);
    const [auto] = model === AUTO ? describeAuto(catalogue, await weightsToChooseFrom(deps)) : [];
    if (auto) return c.json(auto, 200);
    if (!variant) {
      throw new ApiError("model_not_found", `The model '${model.slice(0, 100)}' does not exist.`, { param: "model" });
    }
    const measured = await readMeasured(scores, (promise) => c.executionCtx.waitUntil(promise));
    return c.json(describe(variant, measured), 200);
  });
};

/** None when there is nothing to choose from. */
function describeAuto(catalogue: Catalogue, weights: readonly string[]): z.infer<typeof autoSchema>[] {
  const [first] = catalogue.values();
  if (!first) return [];
  const { base } = first.plan;
  const variants = [...catalogue.values()].filter(({ plan }) => weights.includes(plan.base.id)).length;
  return [
    {
      id: AUTO,
      object: "model",
      created: base.created,
      owned_by: "franken-gateway",
      metadata: { title: "The best variant within the request's budget", base: base.id, variants },
    },
  ];
}

function describe({ recipe, plan }: Variant, { scores, quarantines }: Measured): z.infer<typeof modelSchema> {
  const { id, title, status, origin, base } = recipe;
  return {
    id,
    object: "model",
    created: plan.base.created,
    owned_by: "franken-gateway",
    metadata: {
      title,
      status,
      description: STATUSES[status],
      origin,
      base,
      context_length: plan.contextLength,
      slots: "slots" in recipe ? recipe.slots : null,
      costs: {
        weight_bytes: plan.costs.weightBytes,
        multiply_adds_per_token: plan.costs.multiplyAdds,
        kv_bytes_per_token: plan.costs.kvBytes,
      },
      scores: scores
        .filter(({ variant }) => variant === id)
        .map(({ task, kind, items, metrics, measured_at }) => ({ task, kind, items, metrics, measured_at })),
      health: describeHealth(quarantines, id),
    },
  };
}
