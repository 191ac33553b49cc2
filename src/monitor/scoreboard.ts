// What the gateway knows of its variants' scores: the recorded ones, those that the service measured, and which variants are under
// quarantine because the two do not agree. Without D1 the recorded ones remain.
import type { Replica } from "../replica/index.ts";
import { createCached } from "../storage/index.ts";
import type { Catalogue } from "../variants/index.ts";
import { variantDigest } from "../variants/index.ts";
import { createRecordedScores, type RecordedFile, type RecordedScores } from "./recorded.ts";
import { latestRuns, quarantines, type RunRow } from "./store.ts";

export interface Quarantine {
  readonly reason: string;
  /** Milliseconds since 1970. */
  readonly since: number;
}

/** By variant id. */
export type Quarantines = ReadonlyMap<string, Quarantine>;
type WaitUntil = (promise: Promise<unknown>) => void;

export interface Scoreboard {
  readonly recorded: RecordedScores;
  /** Of each variant and task the last finished run, or else the one under way; undefined when D1 cannot be reached. */
  served(waitUntil: WaitUntil): Promise<readonly RunRow[] | undefined>;
  /**
   * The quarantined variants. Reads them anew if what is known is old, and waits only where nothing is
   * known. There is no way to them without a load, so no event can find a list that nobody read.
   * Never rejects.
   */
  loadQuarantines(waitUntil: WaitUntil): Promise<Quarantines>;
}

export interface ScoreboardOptions {
  readonly catalogue: Catalogue;
  readonly recorded: RecordedFile;
  readonly db: D1Database | undefined;
  replicaOf(weightsId: string): Replica;
  now(): number;
  readonly log: (entry: object) => void;
}

const SERVED_FRESH_MS = 10_000;
const QUARANTINE_FRESH_MS = 30_000;
/** Listing scores may wait longer for a database than answering may. */
const SERVED_WAIT_MS = 1_000;
const QUARANTINE_WAIT_MS = 100;
const NONE: Quarantines = new Map();

export function createScoreboard({ catalogue, recorded, db, replicaOf, now, log }: ScoreboardOptions): Scoreboard {
  const digests = new Map([...catalogue].map(([id, { plan }]) => [id, variantDigest(plan)]));
  const database = (): D1Database => {
    if (!db) throw new Error("no D1 database is bound");
    return db;
  };
  const onAway = (error: unknown): void =>
    log({ event: "database_away", message: error instanceof Error ? error.message : String(error), hint: HINT });

  const served = createCached({
    async load() {
      const rows = await latestRuns(database(), [...new Set(digests.values())]);
      return rows.filter((row) => digests.get(row.variant) === row.variant_digest);
    },
    freshMs: SERVED_FRESH_MS,
    waitMs: SERVED_WAIT_MS,
    now,
    onAway,
  });

  /** Whether a quarantine's engine is still the one that serves; while that is unknown, it is taken to be. */
  async function isServing(variant: string, engineDigest: string): Promise<boolean> {
    const weightsId = catalogue.get(variant)?.plan.base.id;
    if (!weightsId) return false;
    const status = await replicaOf(weightsId)
      .status(weightsId, false)
      .catch(() => undefined);
    return status?.state !== "ready" || status.digest === engineDigest;
  }
  const quarantined = createCached({
    async load(): Promise<Quarantines> {
      const found = new Map<string, Quarantine>();
      for (const { variant, variant_digest, engine_digest, reason, at, lifted_at } of await quarantines(database())) {
        if (lifted_at !== null || digests.get(variant) !== variant_digest) continue;
        if (await isServing(variant, engine_digest)) found.set(variant, { reason, since: at });
      }
      return found;
    },
    freshMs: QUARANTINE_FRESH_MS,
    waitMs: QUARANTINE_WAIT_MS,
    now,
    onAway,
  });

  return {
    recorded: createRecordedScores(recorded, digests),
    served: served.get,
    loadQuarantines: async (waitUntil) => (await quarantined.get(waitUntil)) ?? NONE,
  };
}

const HINT =
  "Answers go out without it. Bind a database as DB in wrangler.toml and apply the migrations: npx wrangler d1 migrations apply DB";
