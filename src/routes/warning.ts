// A reply of a variant that is under quarantine says so. Whoever named the variant still gets the answer.
import type { MiddlewareHandler } from "hono";
import type { Scoreboard } from "../scores/monitor/index.ts";
import type { AppEnv } from "./context.ts";

export const WARNING_HEADER = "x-franken-warning";

export const warnOfQuarantine =
  (scores: Scoreboard): MiddlewareHandler<AppEnv> =>
  async (c, next) => {
    await next();
    const { model } = c.get("record");
    if (model === undefined) return;
    const quarantines = await scores.loadQuarantines((promise) => c.executionCtx.waitUntil(promise));
    const quarantine = quarantines.get(model);
    if (quarantine) c.header(WARNING_HEADER, `${model} is quarantined: ${quarantine.reason}`);
  };
