// POST /v1/chat/completions, whole and streamed.
import { createRoute } from "@hono/zod-openapi";
import type { Context } from "hono";
import {
  ApiError,
  AUTO,
  chatChunkSchema,
  chatCompletion,
  chatCompletionSchema,
  chatRequestSchema,
  errorResponses,
  fetchFingerprint,
  fitPrompt,
  parseChatRequest,
  readBudget,
  readJson,
  startGeneration,
} from "../openai/index.ts";
import type { Variant } from "../variants/catalogue.ts";
import { bearer } from "./bearer.ts";
import { type Reply, streamReply } from "./chat-stream.ts";
import { chooseVariant, conclude } from "./choose.ts";
import type { AddRoutes, AppEnv } from "./context.ts";
import { startDeadline } from "./deadline.ts";

const chatRoute = createRoute({
  method: "post",
  path: "/v1/chat/completions",
  summary: "Create a chat completion",
  description:
    "Messages in, a reply out: whole, or as server-sent events with `stream`. An error after the first event comes as an event whose data is an `Error`; then the stream ends without `[DONE]`. Lines that begin with a colon only keep the connection alive.",
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
    ...errorResponses(
      "invalid_json",
      "missing_required_parameter",
      "invalid_type",
      "invalid_value",
      "unsupported_parameter",
      "context_length_exceeded",
      "invalid_api_key",
      "model_not_found",
      "request_too_large",
      "unsupported_media_type",
      "budget_unmet",
      "internal_error",
      "numerical_error",
      "misconfigured",
      "overloaded",
      "out_of_memory",
      "replica_unavailable",
      "model_damaged",
      "deadline_exceeded",
    ),
  },
});

export const addChatRoutes: AddRoutes = (app, deps) => {
  app.openAPIRegistry.registerPath(chatRoute);
  app.post(chatRoute.path, async (c) => {
    const arrivedAt = deps.now();
    const { signal, release } = startDeadline(c, deps.deadlineMs);
    let settled: Promise<void> | undefined;
    let end = (): void => {};
    try {
      const request = parseChatRequest(await readJson(c.req.raw));
      const budget = readBudget((name) => c.req.header(name), request.budget, c.get("access").budget);
      const record = c.get("record");
      const pinned = deps.catalogue.get(request.model);
      // A request that leaves the choice to the gateway gets a variant of the base that is listed first.
      const base = (pinned ?? [...deps.catalogue.values()][0])?.plan.base;
      if (!base || (!pinned && request.model !== AUTO)) {
        throw new ApiError(
          "model_not_found",
          `The model '${request.model.slice(0, 100)}' does not exist. GET /v1/models lists the models there are.`,
          { param: "model" },
        );
      }
      record.model = request.model;
      record.stream = request.stream;
      const tokenizer = deps.tokenizerOf(base);
      const prompt = await fitPrompt(tokenizer, request, pinned?.plan.contextLength ?? deps.router.roomOf(base.id));
      record.promptTokens = prompt.ids.length;
      const routed = await chooseVariant(c, deps, {
        request,
        budget,
        prompt,
        arrivedAt,
        pinned: pinned && request.model,
        base: base.id,
      });
      const { variant } = routed.decision;
      const plan = (deps.catalogue.get(variant) as Variant).plan;
      record.variant = variant;
      const replica = deps.replicaOf(base.id);
      routed.sent();
      const fingerprint = fetchFingerprint(replica, plan, routed.told);
      const generation = startGeneration({
        replica,
        tokenizer,
        signal,
        stop: request.stop,
        onToken() {
          const lighter = routed.token();
          // It may come too late: then the answer ends as it is.
          if (lighter) replica.switchVariant(c.get("requestId"), lighter).catch(() => {});
        },
        onVariant: routed.switched,
        now: deps.now,
        request: {
          requestId: c.get("requestId"),
          variant,
          promptIds: prompt.ids,
          maxTokens: prompt.maxTokens,
          mayShorten: request.maxTokens === undefined,
          temperature: request.temperature,
          topP: request.topP,
          seed: request.seed ?? randomSeed(),
          deadlineMs: Math.max(1, deps.deadlineMs - (deps.now() - arrivedAt)),
        },
      });
      end = () => conclude(c, routed, generation);
      const reply: Reply = {
        id: `chatcmpl-${deps.newId()}`,
        created: Math.floor(deps.now() / 1000),
        model: variant,
        promptTokens: prompt.ids.length,
        includeUsage: request.includeUsage,
        generation,
        signal,
        fingerprint,
      };
      if (!request.stream) return await whole(c, reply);
      const stream = await streamReply(c, deps.log, reply);
      settled = stream.settled.then(end).finally(release);
      c.set("settled", settled);
      return stream.response;
    } finally {
      if (!settled) {
        end();
        release();
      }
    }
  });
};

async function whole(c: Context<AppEnv>, reply: Reply): Promise<Response> {
  const { generation, promptTokens } = reply;
  const record = c.get("record");
  let content = "";
  try {
    for await (const event of generation.events) {
      if (event.type === "text") content += event.text;
      if (event.type !== "end") continue;
      record.finishReason = event.finishReason;
      const { completionTokens } = generation;
      const fingerprint = await reply.fingerprint();
      return c.json(
        chatCompletion({ ...reply, fingerprint, downshifts: generation.downshifts }, content, event.finishReason, {
          promptTokens,
          completionTokens,
        }),
      );
    }
    throw new Error("a generation ended without its last event");
  } finally {
    record.completionTokens = generation.completionTokens;
  }
}

const randomSeed = (): number => crypto.getRandomValues(new Uint32Array(1))[0] as number;
