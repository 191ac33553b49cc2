// The experiments that run, as this isolate knows them: read from D1 beside the requests and never before them, unless none were read yet. While
// D1 is away the last ones go on.
import { hexToBytes } from "@noble/hashes/utils.js";
import { createCached } from "../../storage/index.ts";
import { createUnitHash, type HashedUnit } from "../assign.ts";
import { type ExperimentRow, fromRow, type StoredExperiment, statusOf } from "./stored.ts";

export interface RunningExperiment extends StoredExperiment {
  /** Its hash of a unit's name. */
  hash(unit: string): HashedUnit;
}

export interface RunningExperiments {
  /** Those that run now; refreshes what is known of them in `waitUntil` when it is old. Never rejects. */
  get(waitUntil: (promise: Promise<unknown>) => void): Promise<readonly RunningExperiment[]>;
  /** Reads them anew: for whoever has just changed one. Never rejects. */
  reload(): Promise<void>;
}

export interface RunningOptions {
  readonly db: D1Database;
  /** Milliseconds since 1970. */
  now(): number;
  onAway(error: unknown): void;
}

/** Other isolates go on for so long as if an experiment had not changed. */
const FRESH_MS = 5_000;
/** The first request of an isolate waits for them, so that its unit keeps its arm. */
const WAIT_MS = 500;
const NONE: readonly RunningExperiment[] = [];

export function createRunning({ db, now, onAway }: RunningOptions): RunningExperiments {
  const cached = createCached({
    async load() {
      const { results } = await db
        .prepare(
          "SELECT spec, epochs, secret, version, created_at, stopped_at FROM experiments WHERE stopped_at IS NULL AND deleted_at IS NULL",
        )
        .all<ExperimentRow>();
      return results.map((row): RunningExperiment => {
        const stored = fromRow(row);
        return { ...stored, hash: createUnitHash({ key: hexToBytes(stored.secret), experiment: stored.spec.id }) };
      });
    },
    freshMs: FRESH_MS,
    waitMs: WAIT_MS,
    now,
    onAway,
  });
  return {
    async get(waitUntil) {
      const known = (await cached.get(waitUntil)) ?? NONE;
      return known.length === 0 ? known : known.filter((experiment) => statusOf(experiment, now()) === "running");
    },
    reload: cached.reload,
  };
}
