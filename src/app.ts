// The gateway as a Hono app: what every request passes through, then the routes.
import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { cors } from "hono/cors";
import { requestId } from "hono/request-id";
import { matchedRoutes } from "hono/route";
import { createAuthorizationCheck } from "./access/index.ts";
import { LIMIT_HEADERS } from "./limits/index.ts";
import { ApiError, errorResponse } from "./openai/index.ts";
import {
  type App,
  type AppEnv,
  addRoutes,
  drainBody,
  type GatewayDeps,
  ROUTING_HEADERS,
  reportError,
  tellLimits,
  tellWarnings,
  unservedEndpoint,
  WARNING_HEADER,
} from "./routes/index.ts";

/** Of OpenAI's API, as its own servers say it. */
const OPENAI_VERSION = "2020-10-01";
const METHODS = ["GET", "POST", "PATCH", "DELETE"] as const;
const ALL = "ALL";

export function createApp(deps: GatewayDeps): App {
  const checkAuthorization = createAuthorizationCheck(deps.apiKeys);
  const app: App = new OpenAPIHono<AppEnv>();

  app.use(requestId({ generator: () => `req_${deps.newId()}`, limitLength: 128 }));
  app.use(async (c, next) => {
    const started = deps.now();
    const method = c.req.method;
    c.set("record", { requestId: c.get("requestId"), method, route: "", status: 0, ms: 0 });
    await next();
    await drainBody(c.req.raw);
    c.header("openai-processing-ms", String(deps.now() - started));
    c.header("openai-version", OPENAI_VERSION);
    const finish = (): void => {
      const record = c.get("record");
      record.route = matchedRoutes(c).findLast((route) => route.method !== ALL)?.path ?? "unknown";
      record.status = c.res.status;
      record.ms = deps.now() - started;
      // Probes come every second, for ever.
      if (record.route !== "/health") deps.log.request(record);
    };
    const settled = c.get("settled");
    if (settled) c.executionCtx.waitUntil(settled.then(finish));
    else finish();
  });
  app.use(
    cors({
      origin: "*",
      allowMethods: ["GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"],
      exposeHeaders: [
        "x-request-id",
        "openai-processing-ms",
        "openai-version",
        ...LIMIT_HEADERS,
        "retry-after",
        "retry-after-ms",
        "x-should-retry",
        WARNING_HEADER,
        ...ROUTING_HEADERS,
      ],
      maxAge: 86_400,
    }),
  );
  app.use("/v1/*", async (c, next) => {
    c.set("access", checkAuthorization(c.req.header("authorization")));
    await next();
  });
  app.use("/v1/*", tellLimits);
  app.use("/v1/*", tellWarnings(deps.scores));

  addRoutes(app, deps);

  app.notFound((c) => errorResponse(reportError(c, deps.log, notFound(app, c))));
  app.onError((error, c) => errorResponse(reportError(c, deps.log, error)));
  return app;
}

/** Another method of a known path, or no path at all. */
function notFound(app: App, c: Context): ApiError {
  const { method, path } = c.req;
  const methods = METHODS.filter((other) =>
    app.router.match(other, path)[0].some(([[, route]]) => route.method === other),
  );
  if (methods.length === 0) {
    return (
      unservedEndpoint(app, method, path) ??
      new ApiError("unknown_url", `Invalid URL (${method} ${path.slice(0, 200)})`)
    );
  }
  const allow = [...methods.flatMap((other) => (other === "GET" ? ["GET", "HEAD"] : [other])), "OPTIONS"].join(", ");
  return new ApiError(
    "method_not_allowed",
    `Not allowed to ${method} on ${path.slice(0, 200)}; allowed are ${allow}.`,
    {
      headers: { allow },
    },
  );
}
