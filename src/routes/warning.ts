// A reply of a variant that is under quarantine says so. Whoever named the variant still gets the answer.
import type { MiddlewareHandler } from "hono";
import type { Scoreboard } from "../scores/monitor/index.ts";
import type { AppEnv } from "./context.ts";

export const WARNING_HEADER = "x-franken-warning";

/** Also sees to it that `quarantinedVariants()` is recent for whatever comes after it. */
export const warnOfQuarantine =
  (scores: Scoreboard): MiddlewareHandler<AppEnv> =>
  async (c, next) => {
    const quarantines = await scores.loadQuarantines((promise) => c.executionCtx.waitUntil(promise));
    await next();
    const { model } = c.get("record");
    const quarantine = model === undefined ? undefined : quarantines.get(model);
    if (quarantine) c.header(WARNING_HEADER, `${model} is quarantined: ${quarantine.reason}`);
  };
