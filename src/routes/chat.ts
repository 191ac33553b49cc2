// POST /v1/chat/completions, whole and streamed.
import { createRoute } from "@hono/zod-openapi";
import {
  chatChunkSchema,
  chatCompletion,
  chatCompletionSchema,
  chatRequestSchema,
  createChatWriter,
  createChoiceCollector,
  errorResponses,
  parseChatRequest,
  type ReplyOptions,
  readJson,
} from "../openai/index.ts";
import { type Answer, answer } from "../serving/serve.ts";
import { bearer } from "./bearer.ts";
import type { AddRoutes } from "./context.ts";
import { GENERATION_ERRORS } from "./generation-errors.ts";
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
    const id = `chatcmpl-${deps.newId()}`;
    let request: Awaited<ReturnType<typeof parseChatRequest>>;
    return answer(
      c,
      deps,
      id,
      async () => {
        request = await parseChatRequest(await readJson(c.req.raw));
        return request.ask;
      },
      async (reply) => {
        const head = replyHead(reply, id);
        const newCallId = () => `call_${deps.newId()}`;
        if (request.ask.stream) {
          return streamReply(c, {
            log: deps.log,
            answer: reply,
            createWriter: (fingerprint) => createChatWriter({ ...head, fingerprint }, request, reply, newCallId),
          });
        }
        const collector = createChoiceCollector(reply.count);
        return wholeReply(c, {
          ...{ log: deps.log, answer: reply, write: collector.write },
          end: (fingerprint) =>
            chatCompletion({ ...head, fingerprint }, request, reply, collector.choices(), newCallId),
        });
      },
    );
  });
};

const replyHead = ({ created, variant }: Answer, id: string): Omit<ReplyOptions, "fingerprint"> => ({
  id,
  created,
  model: variant,
});
