// What serving needs of an HTTP request.
import type { Context } from "hono";
import { type ParsedRequest, readBudget } from "../openai/index.ts";
import type { GenerationRequest, RequestScope } from "../serving/index.ts";
import { admit } from "./admit.ts";
import type { AppEnv, GatewayDeps } from "./context.ts";
import { warn } from "./warning.ts";

/**
 * Lets a request in, before its body is read.
 * @param replyId id that the reply will have
 * @throws ApiError `rate_limit_requests`
 */
export async function openScope(c: Context<AppEnv>, deps: GatewayDeps, replyId: string): Promise<RequestScope> {
  const arrivedAt = deps.now();
  return {
    requestId: c.get("requestId"),
    replyId,
    keyId: c.get("access").keyId,
    headers: c.req.raw.headers,
    arrivedAt,
    signal: c.req.raw.signal,
    admission: await admit(c, deps),
    background: false,
    log: c.get("record"),
    warn: (...warnings) => warn(c, ...warnings),
    waitUntil: (promise) => c.executionCtx.waitUntil(promise),
  };
}

/** A parsed request with its budget: its own, in headers or body, over that of its key. */
export const withBudget = (c: Context<AppEnv>, request: ParsedRequest): GenerationRequest => ({
  ...request,
  budget: readBudget((name) => c.req.header(name), request.budget, c.get("access").budget),
});
