// POST /v1/responses: whole, streamed, and in the background.
import { createRoute } from "@hono/zod-openapi";
import type { Context } from "hono";
import { headersRead } from "../experiments/index.ts";
import {
  ApiError,
  BUDGET_HEADERS,
  checkCalls,
  createResponseWriter,
  errorResponses,
  type Item,
  newResponse,
  parseBody,
  parseResponseRequest,
  type ResponseObject,
  type ResponseRequest,
  readJson,
  responseEventSchema,
  responseRequestSchema,
  responseSchema,
  writeExactly,
} from "../openai/index.ts";
import { type ResponseKeeping, RUN_PATH, whyNotStorable } from "../responses/index.ts";
import { type Answer, answer, readPrompts, type StreamedReply } from "../serving/serve.ts";
import { bearer } from "./bearer.ts";
import { type AddRoutes, type AppEnv, type GatewayDeps, reportError } from "./context.ts";
import { GENERATION_ERRORS } from "./generation-errors.ts";
import { historyOf } from "./history.ts";
import { streamReply } from "./stream.ts";
import { warn } from "./warning.ts";
import { wholeReply } from "./whole.ts";

const responsesRoute = createRoute({
  method: "post",
  path: "/v1/responses",
  summary: "Create a response",
  description:
    "Input in, a response out: whole, or as server-sent events with `stream`, each with its `type` as its name. An error after the first event comes as an event `error`; then the stream ends. With `background`, the response comes at once and is `queued`: `GET /v1/responses/{id}` tells how far it is.",
  security: [bearer],
  request: { body: { required: true, content: { "application/json": { schema: responseRequestSchema } } } },
  responses: {
    200: {
      description:
        "The response. With `stream`: `response.created`, `response.in_progress`, the items as they grow, then `response.completed` or `response.incomplete`.",
      content: {
        "application/json": { schema: responseSchema },
        "text/event-stream": { schema: responseEventSchema },
      },
    },
    ...errorResponses(...GENERATION_ERRORS, "previous_response_not_found", "storage_unavailable"),
  },
});

/** A response that is to be made. */
interface Making {
  readonly request: ResponseRequest;
  /** The previous response's items and its own. */
  readonly conversation: readonly Item[];
  readonly id: string;
  /** Unix seconds. Default: when the answer began. */
  readonly createdAt?: number;
  /** What keeps it in the end, if anything here is to. */
  readonly keeping: ResponseKeeping | undefined;
  readonly stored: boolean;
  /** It is a background response's, whose object reads the reply. */
  readonly held: boolean;
  /** Oldest items that were left out. */
  dropped: number;
}

const askOf = (making: Making) =>
  making.request.ask(making.conversation, (count) => {
    making.dropped = count;
  });

export const addResponseRoutes: AddRoutes = (app, deps) => {
  app.openAPIRegistry.registerPath(responsesRoute);
  app.post(responsesRoute.path, async (c) => {
    const id = `resp_${deps.newId()}`;
    let making: Making;
    return answer(
      c,
      deps,
      id,
      async () => {
        const request = await parseResponseRequest(await readJson(c.req.raw), deps.newId);
        const keeping = keepingFor(request, deps);
        const conversation = [...(await historyOf(c, request, deps)), ...request.items];
        checkCalls(conversation);
        making = { request, conversation, id, keeping, stored: keeping !== undefined, held: false, dropped: 0 };
        if (isTooLarge(c, deps, making)) making = { ...making, keeping: undefined, stored: false };
        return request.background && keeping ? queue(c, deps, making, keeping) : askOf(making);
      },
      (reply) => respond(c, deps, making, reply),
    );
  });

  // Not a client's: what a background response's object asks for. Without a database there are none.
  if (!deps.responses) return;
  app.post(RUN_PATH, async (c) => {
    const { job } = c.env;
    if (!job) throw new ApiError("unknown_url", `Invalid URL (POST ${RUN_PATH})`);
    // The request was counted when it came; its tokens are now.
    const { access } = job;
    c.set("access", { ...access, limits: { ...access.limits, requests: undefined } });
    const { id, created_at: createdAt } = job.response;
    const body = await parseBody(job.body);
    const request = { ...(await parseResponseRequest(body, deps.newId)), stream: false };
    const { conversation } = job;
    const making: Making = {
      request,
      conversation,
      id,
      createdAt,
      keeping: undefined,
      stored: true,
      held: true,
      dropped: 0,
    };
    return answer(
      c,
      deps,
      id,
      async () => askOf(making),
      (reply) => respond(c, deps, making, reply),
    );
  });
};

/** @throws ApiError for what needs a database where there is none */
function keepingFor({ store, background, previousResponseId }: ResponseRequest, { responses }: GatewayDeps) {
  const param =
    (store && "store") || (background && "background") || (previousResponseId !== undefined && "previous_response_id");
  if (!responses && param) {
    throw new ApiError(
      "unsupported_parameter",
      `Unsupported parameter: '${param}' needs stored responses, and this gateway has no database. Leave it out and send all items as 'input', or bind a D1 database as DB.`,
      { param },
    );
  }
  if (background && store === false) {
    throw new ApiError("invalid_value", "'background' responses are always stored: leave 'store' out.", {
      param: "store",
    });
  }
  return store === false ? undefined : responses;
}

/**
 * Whether a response cannot be kept, which its request did not ask for: it is answered, and its warning says so.
 * @throws ApiError `invalid_value` where the request asked for it
 */
function isTooLarge(c: Context<AppEnv>, deps: GatewayDeps, making: Making): boolean {
  const { request, conversation, keeping } = making;
  const why = keeping && whyNotStorable({ response: unmade(making, deps), input: conversation });
  if (!why) return false;
  if (request.store || request.background) {
    const mend = request.background ? "Send less." : "Set 'store' to false, or send less.";
    throw new ApiError("invalid_value", `The response cannot be stored: ${why}. ${mend}`, {
      param: request.background ? "background" : "store",
    });
  }
  warn(c, `not stored: ${why}`);
  return true;
}

/** A response of which nothing is there yet. */
const unmade = ({ request, id, stored }: Making, { now }: GatewayDeps): ResponseObject =>
  newResponse(
    { id, createdAt: Math.floor(now() / 1000), model: request.model, status: "queued" },
    request.echo(stored),
  );

/** Has a response made in the background, after what a client can mend has been checked. */
async function queue(
  c: Context<AppEnv>,
  deps: GatewayDeps,
  making: Making,
  { store, runnerOf, lineOf }: ResponseKeeping,
): Promise<Response> {
  await readPrompts(c, deps, askOf(making));
  const { request, conversation, id, dropped } = making;
  const line = lineOf(c.get("access").keyId);
  // A line that is not at hand holds nobody up: the response asks for its turn later.
  if (!(await line.join(id).catch(() => true))) throw lineIsFull();
  const { access, requestId } = { access: c.get("access"), requestId: c.get("requestId") };
  const response = unmade(making, deps);
  const experiments = (await deps.experiments?.running.get((promise) => c.executionCtx.waitUntil(promise))) ?? [];
  const telling = new Set([...Object.keys(BUDGET_HEADERS), ...headersRead(experiments.map(({ spec }) => spec))]);
  const kept = [...telling].flatMap((name) => {
    const value = c.req.header(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  await store.insert(access.keyId, { response, input: conversation.slice(dropped) });
  try {
    const headers = [["x-request-id", requestId] as const, ...kept];
    // Schemas do not survive a structured clone: integers beyond 2^53, and the order of names like "10".
    const body = writeExactly(request.body);
    const told: ResponseObject = JSON.parse(writeExactly(response));
    await runnerOf(id).start({ response: told, body, conversation, access, headers });
  } catch (error) {
    await line.leave(id).catch(() => {});
    await store.remove(access.keyId, id);
    throw error;
  }
  return c.json(response);
}

/** A client that is told this long to wait finds that some of its responses are over. */
const LINE_RETRY_S = 60;

const lineIsFull = (): ApiError =>
  new ApiError("key_overloaded", "As many background responses of this API key as can wait are waiting already.", {
    param: "background",
    headers: { "retry-after": String(LINE_RETRY_S) },
  });

async function respond(
  c: Context<AppEnv>,
  deps: GatewayDeps,
  making: Making,
  reply: Answer,
): Promise<Response | StreamedReply> {
  const { request, id, createdAt = reply.created, stored } = making;
  const response = newResponse({ id, createdAt, model: reply.variant, status: "in_progress" }, request.echo(stored));
  const { tellsLogprobs, format } = request;
  const writer = createResponseWriter({
    ...{ response, tellsLogprobs, mayCall: format.mayCall, tokenizer: reply.tokenizer, downshifts: reply.downshifts },
    usage: reply.usage,
    now: deps.now,
    newId: deps.newId,
  });
  const finish = async (): Promise<ResponseObject> => {
    writer.finish();
    await keep(c, deps, making, response);
    return response;
  };
  if (request.stream) {
    return streamReply(c, {
      log: deps.log,
      answer: reply,
      createWriter: () => ({
        begin: writer.begin,
        write: ({ event }) => writer.write(event),
        async end() {
          await finish();
          return writer.end();
        },
      }),
      errorEvents: writer.fail,
    });
  }
  return wholeReply(c, {
    ...{ log: deps.log, answer: reply, end: finish, held: making.held },
    write: ({ event }) => void writer.write(event),
  });
}

/** An answer does not fail because it could not be kept: it says so. */
async function keep(
  c: Context<AppEnv>,
  deps: GatewayDeps,
  { keeping, conversation, dropped }: Making,
  response: ResponseObject,
): Promise<void> {
  if (!keeping) return;
  try {
    const input = conversation.slice(dropped);
    await keeping.store.insert(c.get("access").keyId, { response: withoutLogprobs(response), input });
  } catch (error) {
    reportError(c, deps.log, error);
    response.store = false;
  }
}

/** Twenty log-probabilities a token would not fit a row. */
const withoutLogprobs = (response: ResponseObject): ResponseObject => ({
  ...response,
  output: response.output.map((item) =>
    item.type === "message"
      ? {
          ...item,
          content: item.content.map((part) => (part.type === "output_text" ? { ...part, logprobs: [] } : part)),
        }
      : item,
  ),
});
