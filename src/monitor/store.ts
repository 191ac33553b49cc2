// What the service has measured so far, read from D1. Rows get there through src/storage.

import type { ItemResult, Metrics } from "../../evaluation/metrics.ts";
import type { RowOf } from "../storage/index.ts";

/** A run of a task on a variant, as far as it is; `finished` is 0 or 1. */
export type RunRow = RowOf<"scores"> & {
  readonly [K in
    | "id"
    | "variant"
    | "variant_digest"
    | "engine"
    | "engine_digest"
    | "task"
    | "data_digest"
    | "metrics"]: string;
} & {
  readonly [K in
    | "number"
    | "items"
    | "total"
    | "failed"
    | "compared"
    | "discordant"
    | "evidence"
    | "ms"
    | "measured_at"
    | "finished"]: number;
};

/** One item of a run. */
export interface MeasuredItem {
  readonly item: number;
  /** Undefined when the variant gave no result; then `error` says why. */
  readonly result: ItemResult | undefined;
  readonly error: string | null;
  /** Undefined where there was no record to compare with. */
  readonly discordant: boolean | undefined;
  readonly ms: number;
  /** Milliseconds since 1970. */
  readonly measuredAt: number;
}

export interface QuarantineRow {
  readonly variant: string;
  readonly variant_digest: string;
  readonly engine_digest: string;
  readonly reason: string;
  readonly at: number;
  readonly lifted_at: number | null;
}

export const metricsOf = (row: Pick<RunRow, "metrics">): Metrics => JSON.parse(row.metrics) as Metrics;

/** The runs on an engine, of all variants and digests. */
export async function runsOn(db: D1Database, engineDigest: string): Promise<RunRow[]> {
  return (await db.prepare("SELECT * FROM scores WHERE engine_digest = ?").bind(engineDigest).all<RunRow>()).results;
}

/** Of each of these variant digests and each task the last run that is finished, or else the one under way. */
export async function latestRuns(db: D1Database, variantDigests: readonly string[]): Promise<RunRow[]> {
  const ranked = `SELECT *, row_number() OVER (
      PARTITION BY variant, variant_digest, task ORDER BY finished DESC, measured_at DESC
    ) AS place FROM scores WHERE variant_digest IN (SELECT value FROM json_each(?))`;
  const { results } = await db
    .prepare(`SELECT * FROM (${ranked}) WHERE place = 1 ORDER BY variant, task`)
    .bind(JSON.stringify(variantDigests))
    .all<RunRow>();
  return results;
}

/** A run's items in the order in which they were measured. */
export async function itemsOf(db: D1Database, run: string): Promise<MeasuredItem[]> {
  const { results } = await db
    .prepare(
      "SELECT item, result, error, discordant, ms, measured_at FROM items WHERE run = ? ORDER BY measured_at, item",
    )
    .bind(run)
    .all<RowOf<"items">>();
  return results.map(({ item, result, error, discordant, ms, measured_at }) => ({
    item: Number(item),
    result: result === null ? undefined : (JSON.parse(String(result)) as ItemResult),
    error: error === null ? null : String(error),
    discordant: discordant === null ? undefined : discordant === 1,
    ms: Number(ms),
    measuredAt: Number(measured_at),
  }));
}

/** All that was ever put under quarantine, the latest last. */
export async function quarantines(db: D1Database): Promise<QuarantineRow[]> {
  return (await db.prepare("SELECT * FROM quarantine ORDER BY at").all<QuarantineRow>()).results;
}
