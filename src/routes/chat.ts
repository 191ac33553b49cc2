// POST /v1/chat/completions, whole and streamed.
import { createRoute } from "@hono/zod-openapi";
import {
  chatChunkSchema,
  chatCompletion,
  chatCompletionSchema,
  chatRequestSchema,
  createChatWriter,
  errorResponses,
  parseChatRequest,
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

const chatRoute = createRoute({
  method: "post",
  path: "/v1/chat/completions",
  summary: "Create a chat completion",
  description:
    "Messages in, a reply out: whole, which is white space while it is made and then JSON, or as server-sent events with `stream`. An error after the first event comes as an event whose data is an `Error`; then the stream ends without `[DONE]`. Lines that begin with a colon only keep the connection alive.",
  security: [bearer],
  request: { body: { required: true, content: { "application/json": { schema: chatRequestSchema } } } },
  responses: {
    200: {
      description: "The reply. With `stream`: events whose data is a chunk each, then `data: [DONE]`.",
      content: {
        "application/json": { schema: chatCompletionSchema },
        "text/event-stream": { schema: chatChunkSchema },
      },
    },
    ...errorResponses(...GENERATION_ERRORS),
  },
});

export const addChatRoutes: AddRoutes = (app, deps) => {
  app.openAPIRegistry.registerPath(chatRoute);
  app.post(chatRoute.path, async (c) => {
    const scope = await openScope(c, deps, `chatcmpl-${deps.newId()}`);
    const request = await parseChatRequest(await readJson(c.req.raw));
    const run = await serve(deps, scope, withBudget(c, request.ask));
    writeDecision(c, run.decision);
    const { log, newId } = deps;
    const head = { id: scope.replyId, created: run.created, model: run.variant };
    const newCallId = () => `call_${newId()}`;
    if (request.ask.stream) {
      return streamReply(c, { log, run, writer: createChatWriter(head, request, run, newCallId) });
    }
    const { write, choices } = createChoiceCollector(run.count);
    const end = () => chatCompletion(head, request, run, choices(), newCallId);
    return wholeReply(c, { log, run, write, end });
  });
};
