// What an experiment says, from the rows in D1.
import { StorageError } from "../../storage/index.ts";
import { analyse, type Results } from "../analysis.ts";
import type { Exposure } from "../assign.ts";
import { METRIC_NAMES, type MetricName, metricKind, scaleOf } from "../metrics.ts";
import { type MetricSpec, metricId } from "../schema.ts";
import { type ClosedUnit, closedUnits, countedExposures, type Outcome, shadowId } from "../units.ts";
import type { ExperimentSpec } from "./spec.ts";
import type { StoredExperiment } from "./stored.ts";

/** A mean that is shown and never judged. */
export interface Shown {
  readonly metric: string;
  readonly title: string;
  readonly unit: string;
  readonly treatment: string;
  readonly units: number;
  /** Of the units' means. */
  readonly value: number;
}

export interface ExperimentResults extends Results {
  readonly shown: readonly Shown[];
}

/** Results of an epoch at a time; throws StorageError when D1 cannot be reached. */
export type ResultsOf = (stored: StoredExperiment, epoch: number, now: number) => Promise<ExperimentResults>;

/** Rows of one query: D1 bounds the time of a statement. */
const PAGE = 10_000;

/** The last epoch in which the control is compared with another arm; the last of all where there is none. */
export function comparingEpoch({ epochs, spec }: StoredExperiment): number {
  const last = epochs.findLastIndex(({ layout }) => {
    const arms = new Set(layout.map(({ arm }) => arm));
    return arms.size > 1 && arms.has(spec.control);
  });
  return last < 0 ? epochs.length - 1 : last;
}

export const createResults =
  (db: D1Database): ResultsOf =>
  async (stored, epoch, now) => {
    const { spec, epochs } = stored;
    const layouts = epochs.map(({ layout }) => layout);
    const arms = spec.arms.filter(({ name }) => layouts[epoch]?.some(({ arm }) => arm === name));
    const treatments = arms.map(({ name }) => name).filter((name) => name !== spec.control);
    const readings = readingsOf(spec, treatments);
    const exposed = await readAll<Exposure & { readonly id: string }>(db, {
      from: "SELECT id, experiment, epoch, unit, arm, place, at FROM exposures WHERE experiment = ? AND epoch <= ?",
      values: [spec.id, epoch],
    });
    const metrics = [...readings.keys()];
    const rows = await readAll<Row>(db, {
      from: `SELECT id, unit, metric, value, begun_at, at FROM outcomes WHERE experiment = ? AND epoch = ? AND metric IN (${metrics.map(() => "?").join(", ")})`,
      values: [spec.id, epoch, ...metrics],
    });
    const outcomes = rows.flatMap(({ unit, metric, value, begun_at: begunAt, at }): Outcome[] =>
      (readings.get(metric) ?? []).map((reading) => ({
        unit,
        begunAt,
        at,
        metric: reading.id,
        value: reading.toGoodness(value),
      })),
    );
    const exposures = countedExposures(exposed, layouts, epoch);
    const units = closedUnits(exposures, outcomes, {
      windowMs: spec.window_seconds * 1000,
      settleMs: spec.settle_seconds * 1000,
      now,
      endedAt: endOf(stored, epoch),
    });
    return {
      ...analyse({ experiment: { ...spec, arms }, epoch, exposures, units }),
      shown: shownOf(treatments, units),
    };
  };

interface Row {
  readonly id: string;
  readonly unit: string;
  readonly metric: string;
  readonly value: number;
  readonly begun_at: number;
  readonly at: number;
}

/** As what a recorded value counts. */
interface Reading {
  readonly id: string;
  toGoodness(value: number): number;
}

/** By the name under which values are recorded. */
function readingsOf(spec: ExperimentSpec, treatments: readonly string[]): Map<string, Reading[]> {
  const readings = new Map<string, Reading[]>();
  const add = (recorded: string, reading: Reading): void => {
    readings.set(recorded, [...(readings.get(recorded) ?? []), reading]);
  };
  for (const metric of [spec.primary, ...spec.guardrails] as MetricSpec[]) {
    const { toGoodness } = scaleOf(metric);
    if (metricKind(metric.metric).controlIs === undefined) add(metric.metric, { id: metricId(metric), toGoodness });
    else {
      for (const name of treatments) {
        add(shadowId(metric.metric, name), { id: shadowId(metricId(metric), name), toGoodness });
      }
    }
  }
  for (const metric of SHOWN) {
    for (const name of treatments) {
      const id = shadowId(metric, name);
      add(id, { id, toGoodness: (value) => value });
    }
  }
  return readings;
}

const SHOWN: readonly MetricName[] = METRIC_NAMES.filter((name) => metricKind(name).better === undefined);

const shownOf = (treatments: readonly string[], units: readonly ClosedUnit[]): Shown[] =>
  SHOWN.flatMap((metric) =>
    treatments.flatMap((treatment) => {
      const values = units.flatMap(({ means }) => means.get(shadowId(metric, treatment)) ?? []);
      if (values.length === 0) return [];
      const { title, unit } = metricKind(metric);
      const value = values.reduce((sum, each) => sum + each, 0) / values.length;
      return [{ metric, title, unit, treatment, units: values.length, value }];
    }),
  );

/** When an epoch ended or will, as far as that is known. */
function endOf({ spec, epochs, stoppedAt }: StoredExperiment, epoch: number): number | undefined {
  const ends = [epochs[epoch + 1]?.from, stoppedAt, spec.end === undefined ? undefined : Date.parse(spec.end)];
  const known = ends.filter((end) => end !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}

/** All rows, page by page. */
async function readAll<T extends { readonly id: string }>(
  db: D1Database,
  { from, values }: { readonly from: string; readonly values: readonly (string | number)[] },
): Promise<T[]> {
  const rows: T[] = [];
  try {
    for (let after = ""; ; ) {
      const { results } = await db
        .prepare(`${from} AND id > ? ORDER BY id LIMIT ${PAGE}`)
        .bind(...values, after)
        .all<T>();
      rows.push(...results);
      const last = results.at(-1);
      if (!last || results.length < PAGE) return rows;
      after = last.id;
    }
  } catch (cause) {
    throw new StorageError("experiments are not reachable", { cause });
  }
}
