// What a reply's header says beside the reply: what of the request had no effect, and that its variant is under quarantine.
import type { Context, MiddlewareHandler } from "hono";
import type { Scoreboard } from "../monitor/index.ts";
import type { AppEnv } from "./context.ts";

export const WARNING_HEADER = "x-franken-warning";
/** Characters of the header; the rest is cut. */
const MOST_CHARACTERS = 1_000;

/** Adds to the reply's warning. */
export function warn(c: Context<AppEnv>, ...warnings: readonly string[]): void {
  c.set("warnings", [...(c.get("warnings") ?? []), ...warnings]);
}

/** Writes the header. Whoever named a variant under quarantine still gets the answer. */
export const tellWarnings =
  (scores: Scoreboard): MiddlewareHandler<AppEnv> =>
  async (c, next) => {
    await next();
    const { model } = c.get("record");
    if (model !== undefined) {
      const quarantines = await scores.loadQuarantines((promise) => c.executionCtx.waitUntil(promise));
      const quarantine = quarantines.get(model);
      if (quarantine) warn(c, `${model} is quarantined: ${quarantine.reason}`);
    }
    const warnings = [...new Set(c.get("warnings"))];
    if (warnings.length > 0) c.header(WARNING_HEADER, headerText(warnings.join("; ")));
  };

/** Some of it is the client's: what a header cannot carry is left out. */
const headerText = (text: string): string => text.replace(/[^ -~]/g, "?").slice(0, MOST_CHARACTERS);
