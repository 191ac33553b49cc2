// GET /v1/scores: what was measured of the variants, beforehand and by this service itself.
import { createRoute, z } from "@hono/zod-openapi";
import { TASKS } from "../../evaluation/index.ts";
import { ApiError, errorResponses } from "../openai/index.ts";
import { bearer } from "./bearer.ts";
import type { AddRoutes } from "./context.ts";
import { readMeasured, scoreSchema } from "./score-schema.ts";

const scoresRoute = createRoute({
  method: "get",
  path: "/v1/scores",
  summary: "List the variants' scores",
  description:
    "Of each variant and task the recorded score, where there is one, and the last run that this service finished, or else the one under way.",
  security: [bearer],
  request: {
    query: z.object({
      variant: z.string().optional().openapi({ description: "Only this variant's.", example: "smollm2-135m" }),
      task: z.string().optional().openapi({ description: "Only this task's.", example: "hellaswag" }),
    }),
  },
  responses: {
    200: {
      description: "The scores.",
      content: {
        "application/json": {
          schema: z
            .object({
              object: z.literal("list"),
              served: z.boolean().openapi({
                description: "False when the scores that this service measured cannot be read at the moment.",
              }),
              data: z.array(scoreSchema),
            })
            .openapi("ScoreList"),
        },
      },
    },
    ...errorResponses("invalid_value", "invalid_api_key", "model_not_found", "internal_error", "misconfigured"),
  },
});

export const addScoreRoutes: AddRoutes = (app, { catalogue, scores }) => {
  app.openapi(scoresRoute, async (c) => {
    const { variant, task } = c.req.valid("query");
    if (variant !== undefined && !catalogue.has(variant)) {
      throw new ApiError(
        "model_not_found",
        `The variant '${variant.slice(0, 100)}' does not exist. GET /v1/variants lists the variants there are.`,
        { param: "variant" },
      );
    }
    if (task !== undefined && !TASKS.has(task)) {
      throw new ApiError(
        "invalid_value",
        `The task '${task.slice(0, 100)}' does not exist; tasks are ${[...TASKS.keys()].join(", ")}.`,
        { param: "task" },
      );
    }
    const all = await readMeasured(scores, (promise) => c.executionCtx.waitUntil(promise));
    const data = all.scores.filter(
      (score) => (variant === undefined || score.variant === variant) && (task === undefined || score.task === task),
    );
    return c.json({ object: "list" as const, served: all.served, data }, 200);
  });
};
