// What follows from a run's items: its metrics so far, a line in the log when it is finished, and quarantine when what is served is not
// what was recorded.
import { aggregate } from "../../evaluation/metrics.ts";
import { alarmThreshold, logEvidence } from "./evidence.ts";
import type { MonitorOptions, Run } from "./slice.ts";
import { type MeasuredItem, quarantines } from "./store.ts";
import { MONITORED } from "./tasks.ts";

/** Chance of a single false alarm, over all variants, tasks and runs together. */
const LEVEL = 0.001;
/** Share of items that may differ from what another engine recorded, while nothing is wrong: other rounding decides close items otherwise. */
const OTHER_ENGINE_RATE = 0.05;

/** @param items the run's items so far, in the order of measurement */
export async function conclude(run: Run, items: readonly MeasuredItem[], options: MonitorOptions): Promise<void> {
  const { db, recorder, recorded, settings, catalogue, log } = options;
  const { variantDigest, engine, engineDigest, task, sample } = run;
  const variant = run.variant.recipe.id;
  const results = items.flatMap(({ result }) => (result ? [result] : []));
  const metrics = results.length > 0 ? aggregate(results, task.metrics) : {};
  const failed = items.length - results.length;
  const ms = items.reduce((sum, item) => sum + item.ms, 0);
  const at = Math.max(...items.map(({ measuredAt }) => measuredAt));
  const isFinished = items.length >= run.total;

  const past = (await quarantines(db)).filter(
    (row) => row.variant === variant && row.variant_digest === variantDigest && row.engine_digest === engineDigest,
  );
  // Who lifts a quarantine knows of what was measured before it; only what comes after speaks against the variant again.
  const liftedAt = Math.max(0, ...past.map(({ lifted_at }) => lifted_at ?? 0));
  const compared = items.filter(({ discordant, measuredAt }) => discordant !== undefined && measuredAt > liftedAt);
  const discordant = compared.filter((item) => item.discordant).length;
  const sameEngine = recorded.of(variant, task.id)?.digests.engine === engineDigest;
  const evidence = logEvidence(
    compared.map((item) => item.discordant === true),
    { nullRate: sameEngine ? settings.nullRate : OTHER_ENGINE_RATE },
  );

  const score = {
    variant,
    variant_digest: variantDigest,
    engine,
    engine_digest: engineDigest,
    task: task.id,
    data_digest: sample.dataDigest,
    items: items.length,
    failed,
    compared: compared.length,
    discordant,
  };
  await recorder.record("scores", [
    {
      ...score,
      id: run.id,
      number: run.number,
      total: run.total,
      evidence,
      ms,
      measured_at: at,
      metrics: JSON.stringify(metrics),
      finished: Number(isFinished),
    },
  ]);
  if (isFinished) log({ event: "scores", ...score, metrics, ms });

  const threshold = alarmThreshold(LEVEL, catalogue.size * MONITORED.length, run.number);
  if (evidence < threshold || past.some(({ lifted_at }) => lifted_at === null)) return;
  const reason = `${discordant} of ${compared.length} items of ${task.id} do not give the recorded result`;
  await recorder.record("quarantine", [
    {
      id: `${run.id}-${items.length}`,
      variant,
      variant_digest: variantDigest,
      engine_digest: engineDigest,
      reason,
      at,
      lifted_at: null,
    },
  ]);
  log({ event: "quarantined", ...score, reason, evidence, threshold });
}
