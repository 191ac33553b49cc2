// POST /v1/completions, whole and streamed.
import { createRoute } from "@hono/zod-openapi";
import {
  completion,
  completionChunkSchema,
  completionRequestSchema,
  completionSchema,
  createCompletionWriter,
  errorResponses,
  parseCompletionRequest,
} from "../openai/index.ts";
import { createChoiceCollector, serve } from "../serving/index.ts";
import { bearer } from "./bearer.ts";
import { readJson } from "./body.ts";
import type { AddRoutes } from "./context.ts";
import { writeDecision } from "./decision-headers.ts";
import { GENERATION_ERRORS } from "./generation-errors.ts";
import { openScope, withBudget } from "./scope.ts";
import { streamReply } from "./stream.ts";
import { wholeReply } from "./whole.ts";

const completionsRoute = createRoute({
  method: "post",
  path: "/v1/completions",
  summary: "Create a completion",
  description:
    "Prompts in, what comes after them out: whole, or as server-sent events with `stream`. With `echo`, `logprobs` and `max_tokens` 0 or 1 it tells how likely a text is: what evaluation harnesses ask. An error after the first event comes as an event whose data is an `Error`; then the stream ends without `[DONE]`. Lines that begin with a colon only keep the connection alive.",
  security: [bearer],
  request: { body: { required: true, content: { "application/json": { schema: completionRequestSchema } } } },
  responses: {
    200: {
      description: "The reply. With `stream`: events whose data is a chunk each, then `data: [DONE]`.",
      content: {
        "application/json": { schema: completionSchema },
        "text/event-stream": { schema: completionChunkSchema },
      },
    },
    ...errorResponses(...GENERATION_ERRORS),
  },
});

export const addCompletionRoutes: AddRoutes = (app, deps) => {
  app.openAPIRegistry.registerPath(completionsRoute);
  app.post(completionsRoute.path, async (c) => {
    const scope = await openScope(c, deps, `cmpl-${deps.newId()}`);
    const request = parseCompletionRequest(await readJson(c.req.raw));
    const run = await serve(deps, scope, withBudget(c, request.ask));
    writeDecision(c, run.decision);
    const { log } = deps;
    const head = { id: scope.replyId, created: run.created, model: run.variant };
    if (request.ask.stream) {
      return streamReply(c, { log, run, writer: createCompletionWriter(head, request, run) });
    }
    const { write, choices } = createChoiceCollector(run.count);
    return wholeReply(c, { log, run, write, end: () => completion(head, request, run, choices()) });
  });
};
