// POST /v1/feedback: what a reader thought of an answer.
import { createRoute, z } from "@hono/zod-openapi";
import { ApiError, errorResponses, validate } from "../openai/index.ts";
import { bearer } from "./bearer.ts";
import { readJson } from "./body.ts";
import type { AddRoutes } from "./context.ts";

const MAX_TEXT = 2_000;

const requestSchema = z
  .strictObject({
    completion_id: z.string().min(1).max(100).openapi({ description: "The `id` of the reply." }),
    rating: z
      .number()
      .min(-1, "must be from -1 (bad) to 1 (good)")
      .max(1, "must be from -1 (bad) to 1 (good)")
      .openapi({ description: "From -1 (bad) to 1 (good)." }),
    text: z.string().max(MAX_TEXT).nullish().openapi({ description: "What there is to say. Kept, never judged." }),
  })
  .openapi("FeedbackRequest", { example: { completion_id: "chatcmpl-0f2a6c1e9b7d4853", rating: 1 } });

const feedbackSchema = z
  .object({ object: z.literal("feedback"), completion_id: z.string(), rating: z.number(), text: z.string().nullable() })
  .openapi("Feedback");

const feedbackRoute = createRoute({
  method: "post",
  path: "/v1/feedback",
  summary: "Rate an answer",
  description:
    "Of an answer in an A/B experiment (its reply has the header `x-franken-experiment`), once, and with the key that it was given to.",
  security: [bearer],
  request: { body: { required: true, content: { "application/json": { schema: requestSchema } } } },
  responses: {
    200: { description: "It counts.", content: { "application/json": { schema: feedbackSchema } } },
    ...errorResponses(
      "invalid_json",
      "missing_required_parameter",
      "invalid_type",
      "invalid_value",
      "invalid_api_key",
      "completion_not_found",
      "request_timeout",
      "request_too_large",
      "unsupported_media_type",
      "internal_error",
      "misconfigured",
      "storage_unavailable",
    ),
  },
});

export const addFeedbackRoutes: AddRoutes = (app, { experiments }) => {
  app.openAPIRegistry.registerPath(feedbackRoute);
  app.post(feedbackRoute.path, async (c) => {
    const { completion_id: id, rating, text } = validate(requestSchema, await readJson(c.req.raw));
    const key = c.get("access").keyId;
    const done = (await experiments?.rate({ id, rating, text: text ?? undefined, key })) ?? "unknown";
    if (done === "unknown") {
      throw new ApiError("completion_not_found", `There is no answer '${id}' to this key in an experiment.`, {
        param: "completion_id",
      });
    }
    if (done === "rated_before") {
      throw new ApiError("invalid_value", `The answer '${id}' has been rated: the first rating counts.`, {
        param: "completion_id",
      });
    }
    return c.json({ object: "feedback", completion_id: id, rating, text: text ?? null }, 200);
  });
};
