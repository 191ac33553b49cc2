// Bindings and variables of the gateway Worker, as wrangler.toml has them.

import type { ShadowQueue } from "./experiments/shadow/index.ts";
import type { LimitStore } from "./limits/index.ts";
import type { RecordQueue } from "./records/index.ts";
import type { Replica } from "./replica/protocol.ts";
import type { ResponseRunner } from "./responses/index.ts";
import type { RouterStore } from "./routing/index.ts";

export interface GatewayEnv {
  /** The replica Worker's Durable Objects, named by weight set. */
  readonly REPLICA: { getByName(name: string): Replica };
  /** What routing has learnt; one object for all isolates. */
  readonly ROUTER: { getByName(name: string): RouterStore };
  /** Share of answers that are to keep a budget that was predicted to be kept, as "0.95". */
  readonly ROUTING_QUANTILE: string;
  /** Buckets of the keys that have limits, one object a key. */
  readonly LIMITER: { getByName(name: string): LimitStore };
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
