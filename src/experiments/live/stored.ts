// An experiment as it is kept: what was asked for, and what has become of it.
import type { Layout } from "../layout.ts";
import type { ExperimentSpec } from "./spec.ts";

/** Times are milliseconds since 1970. */
export interface Epoch {
  readonly from: number;
  readonly layout: Layout;
}

export interface StoredExperiment {
  /** Its `start` is always there. */
  readonly spec: ExperimentSpec;
  /** The current one last. */
  readonly epochs: readonly Epoch[];
  /** Keys the hash that assigns units: 16 bytes in hexadecimal. */
  readonly secret: string;
  /** Steps in its log. */
  readonly version: number;
  readonly createdAt: number;
  readonly stoppedAt: number | undefined;
}

export type Status = "scheduled" | "running" | "stopped" | "ended";

export function statusOf({ spec, stoppedAt }: StoredExperiment, now: number): Status {
  if (stoppedAt !== undefined) return "stopped";
  if (spec.start !== undefined && now < Date.parse(spec.start)) return "scheduled";
  return spec.end !== undefined && now >= Date.parse(spec.end) ? "ended" : "running";
}

/** A row of the table `experiments`. */
export interface ExperimentRow {
  readonly spec: string;
  readonly epochs: string;
  readonly secret: string;
  readonly version: number;
  readonly created_at: number;
  readonly stopped_at: number | null;
}

export const fromRow = (row: ExperimentRow): StoredExperiment => ({
  spec: JSON.parse(row.spec),
  epochs: JSON.parse(row.epochs),
  secret: row.secret,
  version: row.version,
  createdAt: row.created_at,
  stoppedAt: row.stopped_at ?? undefined,
});
