// The gateway's D1 database as its migrations make it, for tests inside the Workers runtime. Each test file has an empty one (reset.ts).
import { applyD1Migrations } from "cloudflare:test";
import { env as bindings } from "cloudflare:workers";
import type { RecordQueueObject } from "../../src/storage/queue-object.ts";

export const env = bindings as unknown as {
  readonly DB: D1Database;
  readonly RECORDS: DurableObjectNamespace<RecordQueueObject>;
  readonly MIGRATIONS: Parameters<typeof applyD1Migrations>[1];
};

export async function migratedDatabase(): Promise<D1Database> {
  await applyD1Migrations(env.DB, env.MIGRATIONS);
  return env.DB;
}
