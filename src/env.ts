// Bindings and variables of the gateway Worker, as wrangler.toml has them.

import type { ShadowQueue } from "./experiments/shadow/index.ts";
import type { BackgroundLine, LimitStore } from "./limits/index.ts";
import type { Replica } from "./replica/protocol.ts";
import type { ResponseRunner } from "./responses/index.ts";
import type { RouterStore } from "./routing/index.ts";
import type { RecordQueue } from "./storage/index.ts";
import { above0, type Environment, readNumbers, type Variables } from "./variables.ts";

export interface GatewayEnv {
  /** The replica Worker's Durable Objects, named by weight set; src/replica/homes.ts says which one holds one. */
  readonly REPLICA: { getByName(name: string): Replica };
  /** What routing has learnt; one object for all isolates. */
  readonly ROUTER: { getByName(name: string): RouterStore };
  /** Share of answers that are to keep a budget that was predicted to be kept, as "0.95". */
  readonly ROUTING_QUANTILE: string;
  /** One object a key: the buckets of one that has limits, and the line of its background responses. */
  readonly LIMITER: { getByName(name: string): LimitStore & BackgroundLine };
  /** Scores and decisions; a gateway without it answers, and keeps no records. */
  readonly DB?: D1Database;
  /** The queue of records that wait for D1. */
  readonly RECORDS: { getByName(name: string): RecordQueue };
  /** Answers that wait to be scored under another variant, named by base model. */
  readonly SHADOW: { getByName(name: string): ShadowQueue };
  /** The objects that run background responses, named by their ids. */
  readonly RESPONSES: { getByName(name: string): ResponseRunner };
  /** How long responses are kept. */
  readonly RESPONSES_KEPT_DAYS: string;
  /** Secret: the keys that clients may use, separated by commas, or JSON with budgets and limits. */
  readonly API_KEYS?: string;
  readonly REQUEST_DEADLINE_MS: string;
  /** How the service measures its own scores; see wrangler.toml. */
  readonly SCORES_ITEMS_PER_SLICE?: string;
  readonly SCORES_ITEMS_PER_RUN?: string;
  readonly SCORES_NULL_RATE?: string;
}

type GatewayVariable = "REQUEST_DEADLINE_MS" | "ROUTING_QUANTILE" | "RESPONSES_KEPT_DAYS";

const VARIABLES: Variables<GatewayVariable> = {
  REQUEST_DEADLINE_MS: {
    ...above0,
    // Longer ones a timer takes for none at all.
    isAllowed: (value) => value > 0 && value < 2 ** 31,
    allowed: "a number above 0 and below 2147483648",
  },
  ROUTING_QUANTILE: {
    ...above0,
    isAllowed: (value) => value > 0.5 && value < 1,
    allowed: "a number above 0.5 and below 1",
  },
  RESPONSES_KEPT_DAYS: {
    ...above0,
    isAllowed: (value) => value > 0 && value <= 36_500,
    allowed: "a number above 0 and up to 36500",
  },
};

/** @throws Error that names the variable and what is allowed */
export function gatewaySettings(env: Environment<GatewayVariable>) {
  const read = readNumbers(VARIABLES, env);
  return {
    deadlineMs: read.REQUEST_DEADLINE_MS,
    quantile: read.ROUTING_QUANTILE,
    keepDays: read.RESPONSES_KEPT_DAYS,
  };
}
