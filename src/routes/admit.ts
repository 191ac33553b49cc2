// Lets a request that generates in, as far as its key's limits allow, and tells the client where it stands.
import type { Context, MiddlewareHandler } from "hono";
import { type Admission, limitHeaders } from "../limits/index.ts";
import type { AppEnv, GatewayDeps } from "./context.ts";

/** @throws RateLimitError `requests` */
export function admit(c: Context<AppEnv>, { limiter }: GatewayDeps): Promise<Admission> {
  const { keyId, limits } = c.get("access");
  return limiter.admit({
    keyId,
    limits,
    requestId: c.get("requestId"),
    onVerdict: (verdict) => c.set("limits", verdict),
    waitUntil: (promise) => c.executionCtx.waitUntil(promise),
  });
}

/** Writes the headers of the limits on whatever reply there is, a refusal as well. */
export const tellLimits: MiddlewareHandler<AppEnv> = async (c, next) => {
  await next();
  const verdict = c.get("limits");
  if (verdict) for (const [name, value] of limitHeaders(verdict)) c.header(name, value);
};
