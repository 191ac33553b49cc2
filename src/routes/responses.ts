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
  parseResponseRequest,
  type ResponseObject,
  type ResponseRequest,
  responseEventSchema,
  responseRequestSchema,
  responseSchema,
  writeExactly,
} from "../openai/index.ts";
import { type ResponseKeeping, type StoredResponse, whyNotStorable } from "../responses/index.ts";
import { type GenerationRun, prepare, serve } from "../serving/index.ts";
import { bearer } from "./bearer.ts";
import { readJson } from "./body.ts";
import { type AddRoutes, type AppEnv, type GatewayDeps, reportError } from "./context.ts";
import { writeDecision } from "./decision-headers.ts";
import { GENERATION_ERRORS } from "./generation-errors.ts";
import { historyOf } from "./history.ts";
import { openScope, withBudget } from "./scope.ts";
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
  /** What keeps it in the end, if anything is to. */
  readonly keeping: ResponseKeeping | undefined;
}

export const addResponseRoutes: AddRoutes = (app, deps) => {
  app.openAPIRegistry.registerPath(responsesRoute);
  app.post(responsesRoute.path, async (c) => {
    const scope = await openScope(c, deps, `resp_${deps.newId()}`);
    const making = await read(c, deps, scope.replyId);
    const { request, keeping } = making;
    const asked = request.ask(making.conversation);
    if (request.background && keeping) {
      const { dropped } = await prepare(deps, scope, asked);
      return queue(c, deps, { ...making, keeping }, dropped);
    }
    const run = await serve(deps, scope, withBudget(c, asked));
    writeDecision(c, run.decision);
    return reply(c, deps, making, run);
  });
};

/** @throws ApiError for what is wrong with the request, or cannot be kept as it asks */
async function read(c: Context<AppEnv>, deps: GatewayDeps, id: string): Promise<Making> {
  const request = await parseResponseRequest(await readJson(c.req.raw), deps.newId);
  const keeping = keepingFor(request, deps);
  const conversation = [...(await historyOf(c, request, deps)), ...request.items];
  checkCalls(conversation);
  const making = { request, conversation, id, keeping };
  return isTooLarge(c, deps, making) ? { ...making, keeping: undefined } : making;
}

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
const unmade = ({ request, id, keeping }: Making, { now }: GatewayDeps): ResponseObject =>
  newResponse(
    { id, createdAt: Math.floor(now() / 1000), model: request.model, status: "queued" },
    request.echo(keeping !== undefined),
  );

/** Has a response made in the background, after what a client can mend has been checked. */
async function queue(
  c: Context<AppEnv>,
  deps: GatewayDeps,
  making: Making & { readonly keeping: ResponseKeeping },
  dropped: number,
): Promise<Response> {
  const { request, conversation, id } = making;
  const { store, runnerOf, lineOf } = making.keeping;
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

function reply(
  c: Context<AppEnv>,
  deps: GatewayDeps,
  { request, id, keeping, conversation }: Making,
  run: GenerationRun,
): Promise<Response> {
  const { log, now, newId } = deps;
  const response = newResponse(
    { id, createdAt: run.created, model: run.variant, status: "in_progress" },
    request.echo(keeping !== undefined),
  );
  const { tellsLogprobs, format } = request;
  const writer = createResponseWriter({ response, tellsLogprobs, mayCall: format.mayCall, answer: run, now, newId });
  const finish = async (): Promise<ResponseObject> => {
    writer.finish();
    if (keeping) await keep(c, deps, keeping, { response, input: conversation.slice(run.dropped) });
    return response;
  };
  if (!request.stream) return wholeReply(c, { log, run, write: ({ event }) => void writer.write(event), end: finish });
  return streamReply(c, {
    log,
    run,
    writer: {
      begin: writer.begin,
      write: ({ event }) => writer.write(event),
      async end() {
        await finish();
        return writer.end();
      },
      fail: writer.fail,
    },
  });
}

/** An answer does not fail because it could not be kept: it says so. */
async function keep(
  c: Context<AppEnv>,
  deps: GatewayDeps,
  { store }: ResponseKeeping,
  { response, input }: StoredResponse,
): Promise<void> {
  try {
    await store.insert(c.get("access").keyId, { response: withoutLogprobs(response), input });
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
