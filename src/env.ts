// Bindings and variables of the gateway Worker, as wrangler.toml has them.
import type { Replica } from "./replica/protocol.ts";

export interface GatewayEnv {
  /** The replica Worker's Durable Objects, named by base model. */
  readonly REPLICA: { getByName(name: string): Replica };
  /** Secret: the keys that clients may use, separated by commas. */
  readonly API_KEYS?: string;
  readonly REQUEST_DEADLINE_MS: string;
}
