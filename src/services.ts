// What all requests of an isolate share: routing, limits, and defaults for log, clock and ids.
import { createLimiter, type LimitStore } from "./limits/index.ts";
import type { GatewayDeps } from "./routes/index.ts";
import { createRouter, type RouterOptions } from "./routing/index.ts";
import { consoleLog } from "./telemetry/index.ts";

/** `log`, `now` and `newId` have defaults; a test sets them. */
export interface ServicesOptions
  extends Omit<GatewayDeps, "log" | "now" | "newId" | "router" | "limiter">,
    Partial<Pick<GatewayDeps, "log" | "now" | "newId">> {
  /** The buckets of a key that has limits. */
  limitsOf(keyId: string): LimitStore;
  readonly routing: Pick<RouterOptions, "store" | "archive" | "qualities" | "quantile" | "policy">;
}

export function createServices(options: ServicesOptions): GatewayDeps {
  const { routing, limitsOf, ...given } = options;
  const basics = { log: consoleLog, now: Date.now, newId: randomId, ...given };
  const away =
    (what: string) =>
    (error: unknown, requestId = "routing"): void => {
      const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
      basics.log.failure({ requestId, name, message: `${what}: ${message}`, stack });
    };
  return {
    ...basics,
    router: createRouter({
      ...basics,
      ...routing,
      quarantined: basics.scores.loadQuarantines,
      onAway: away("what was learnt is not at hand"),
    }),
    limiter: createLimiter({ storeOf: limitsOf, onAway: away("the key's limits are not at hand, and not kept") }),
  };
}

const randomId = (): string => crypto.randomUUID().replaceAll("-", "");
