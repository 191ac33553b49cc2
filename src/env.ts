// Bindings of the gateway Worker, as wrangler.toml has them; its variables are in src/config.ts.

import type { gatewayVariables } from "./config.ts";
import type { ShadowQueue } from "./experiments/shadow/index.ts";
import type { BackgroundLine, LimitStore } from "./limits/index.ts";
import type { Replica } from "./replica/index.ts";
import type { ResponseRunner } from "./responses/index.ts";
import type { RouterStore } from "./routing/index.ts";
import type { RecordQueue } from "./storage/index.ts";

export interface GatewayEnv extends Partial<Record<keyof typeof gatewayVariables.shape, string>> {
  /** The replica Worker's Durable Objects, named by weight set; src/replica/homes.ts says which one holds one. */
  readonly REPLICA: { getByName(name: string): Replica };
  /** What routing has learnt; one object for all isolates. */
  readonly ROUTER: { getByName(name: string): RouterStore };
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
}
