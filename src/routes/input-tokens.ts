// POST /v1/responses/input_tokens: how many tokens the model would read of a request for a response.
import { createRoute, z } from "@hono/zod-openapi";
import { checkCalls, errorResponses, parseResponseRequest, responseRequestSchema } from "../openai/index.ts";
import { prepare } from "../serving/index.ts";
import { AUTO } from "../variants/index.ts";
import { bearer } from "./bearer.ts";
import { readJson } from "./body.ts";
import type { AddRoutes } from "./context.ts";
import { GENERATION_ERRORS } from "./generation-errors.ts";
import { historyOf } from "./history.ts";
import { warn } from "./warning.ts";

const countSchema = z
  .object({ object: z.literal("response.input_tokens"), input_tokens: z.int() })
  .openapi("ResponseInputTokens");
const requestSchema = responseRequestSchema
  .extend({ model: responseRequestSchema.shape.model.nullish().openapi({ description: `Default: \`${AUTO}\`.` }) })
  .openapi("ResponseInputTokensRequest");

const inputTokensRoute = createRoute({
  method: "post",
  path: "/v1/responses/input_tokens",
  summary: "Count the input tokens of a response",
  description:
    "Takes what `POST /v1/responses` takes, generates nothing, and tells how many tokens the model would read: input, instructions, tools and the conversation before. With `truncation: auto`, of what would be left.",
  security: [bearer],
  request: { body: { required: true, content: { "application/json": { schema: requestSchema } } } },
  responses: {
    200: { description: "The number.", content: { "application/json": { schema: countSchema } } },
    ...errorResponses(...GENERATION_ERRORS, "previous_response_not_found", "storage_unavailable"),
  },
});

export const addInputTokensRoutes: AddRoutes = (app, deps) => {
  app.openAPIRegistry.registerPath(inputTokensRoute);
  app.post(inputTokensRoute.path, async (c) => {
    const body = await readJson(c.req.raw);
    const isObject = typeof body === "object" && body !== null && !Array.isArray(body);
    // What is about the reply and not about the input may be given, and has no effect.
    const counted = isObject ? { ...body, model: modelOf(body), stream: false, background: false, store: false } : body;
    const request = await parseResponseRequest(counted, deps.newId);
    const conversation = [...(await historyOf(c, request, deps)), ...request.items];
    checkCalls(conversation);
    const scope = { log: c.get("record"), warn: (...warnings: readonly string[]) => warn(c, ...warnings) };
    const { promptTokens } = await prepare(deps, scope, request.ask(conversation));
    return c.json({ object: "response.input_tokens" as const, input_tokens: promptTokens });
  });
};

const modelOf = (body: object): unknown => ("model" in body ? (body.model ?? AUTO) : AUTO);
