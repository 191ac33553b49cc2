// Makes the response of a background job: as POST /v1/responses does, for an alarm in place of a
// client.
import {
  type ApiError,
  createResponseWriter,
  kindOf,
  newResponse,
  parseBody,
  parseResponseRequest,
  type ResponseObject,
  readBudget,
} from "../openai/index.ts";
import { JobError, type ResponseJob, type RunJob } from "../responses/index.ts";
import { type RequestScope, ServingError, serve } from "../serving/index.ts";
import type { RequestRecord } from "../telemetry/index.ts";
import type { GatewayDeps } from "./context.ts";
import { noteError } from "./errors.ts";

/** What stands for the route in the log. */
const ROUTE = "/v1/responses (background)";

export const runInBackground =
  (deps: GatewayDeps): RunJob =>
  async (job, { signal, waitUntil }) => {
    const { log, now, newId } = deps;
    const arrivedAt = now();
    const headers = new Headers(job.headers.map(([name, value]): [string, string] => [name, value]));
    const requestId = headers.get("x-request-id") ?? `req_${newId()}`;
    const record: RequestRecord = { requestId, method: "POST", route: ROUTE, status: 200, ms: 0 };
    try {
      const { keyId, limits } = job.access;
      // The request was counted when it came; its tokens are now.
      const counted = { ...limits, requests: undefined };
      const admission = await deps.limiter.admit({ keyId, limits: counted, requestId, onVerdict() {}, waitUntil });
      return await makeResponse(deps, job, {
        requestId,
        replyId: job.response.id,
        keyId,
        headers,
        arrivedAt,
        signal,
        admission,
        waitUntil,
        background: true,
        log: record,
        warn() {},
      });
    } catch (error) {
      const known = noteError(record, log, error);
      record.status = kindOf(known.code).status;
      throw jobError(error, known);
    } finally {
      record.ms = now() - arrivedAt;
      log.request(record);
    }
  };

async function makeResponse(deps: GatewayDeps, job: ResponseJob, scope: RequestScope): Promise<ResponseObject> {
  const { now, newId } = deps;
  const request = await parseResponseRequest(await parseBody(job.body), newId);
  const asked = request.ask(job.conversation);
  const budget = readBudget((name) => scope.headers.get(name) ?? undefined, asked.budget, job.access.budget);
  const run = await serve(deps, scope, { ...asked, stream: false, budget });
  const { id, created_at: createdAt } = job.response;
  const response = newResponse({ id, createdAt, model: run.variant, status: "in_progress" }, request.echo(true));
  const { tellsLogprobs, format } = request;
  const writer = createResponseWriter({ response, tellsLogprobs, mayCall: format.mayCall, answer: run, now, newId });
  for await (const { event } of run.events) writer.write(event);
  return writer.finish();
}

/** What the job's response says of a failure, and whether another attempt may do better. */
function jobError(error: unknown, { code, message }: ApiError): JobError {
  const { type, retry = false } = kindOf(code);
  const retryMs = error instanceof ServingError ? error.retryMs || undefined : undefined;
  return new JobError(CODES[type], message, { cause: error, retry, retryMs });
}

const CODES = {
  invalid_request_error: "invalid_prompt",
  requests: "rate_limit_exceeded",
  tokens: "rate_limit_exceeded",
  server_error: "server_error",
} as const;
