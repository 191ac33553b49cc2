// What experiments do by themselves: looks at each that runs, and takes the steps that its verdicts ask for.
import type { Recorder } from "../../storage/index.ts";
import type { MetricResult } from "../analysis.ts";
import { stepsOf } from "../decide.ts";
import { promoted, reweighted, withoutArms } from "./change.ts";
import { comparingEpoch, type ResultsOf } from "./results.ts";
import type { ExperimentStore } from "./store.ts";
import { type StoredExperiment, statusOf } from "./stored.ts";

export interface VerdictOptions {
  readonly store: ExperimentStore;
  readonly resultsOf: ResultsOf;
  readonly recorder: Recorder;
  now(): number;
  readonly log: (entry: object) => void;
}

/** Looks once at every experiment that runs. For the trigger: an experiment that cannot be looked at does not hold up the others. */
export function createVerdicts({ store, resultsOf, recorder, now, log }: VerdictOptions): () => Promise<void> {
  async function look(stored: StoredExperiment): Promise<void> {
    const { spec, epochs } = stored;
    const epoch = comparingEpoch(stored);
    // After the last arm but one is gone there is nothing left to compare.
    if (epoch < epochs.length - 1 || spec.arms.filter(({ weight }) => weight > 0).length < 2) return;
    const results = await resultsOf(stored, epoch, now());
    const { sample_ratio } = results;
    if (sample_ratio.alarm) {
      const entry = { id: `${spec.id}/alarm/${epoch}`, experiment: spec.id, at: now(), by: "verdict" };
      const detail = JSON.stringify({ epoch, sample_ratio });
      await recorder.record("experiment_log", [{ ...entry, action: "sample_ratio_alarm", detail }]);
    }
    const steps = stepsOf(results, spec);
    if (steps.length === 0) return;
    const winner = steps.find(({ action }) => action === "promote");
    const losers = steps.flatMap(({ action, arm }) => (action === "stop" ? [arm] : []));
    const weights = winner ? promoted(spec, winner.arm) : withoutArms(spec, losers);
    const changed = await store.change(spec.id, (current) => {
      // What was changed meanwhile has to be looked at anew.
      if (current.version !== stored.version || statusOf(current, now()) !== "running") return undefined;
      const taken = steps.map(({ action, arm, because }) => ({ action, arm, because: because.map(lastPoint) }));
      return {
        next: reweighted(current, weights, now()),
        entry: {
          at: now(),
          action: winner ? "promote" : "stop",
          by: "verdict",
          detail: { epoch, steps: taken, sample_ratio, weights: weightsOf(weights) },
        },
      };
    });
    if (changed) log({ event: "experiment_verdict", experiment: spec.id, winner: winner?.arm, losers });
  }
  return async () => {
    for (const stored of await store.list()) {
      if (statusOf(stored, now()) !== "running") continue;
      await look(stored).catch((error: unknown) => {
        const message = error instanceof Error ? error.message : String(error);
        log({ event: "experiment_not_looked_at", experiment: stored.spec.id, message });
      });
    }
  };
}

/** How it stands; how it came to that is in the results. */
const lastPoint = (result: MetricResult): MetricResult => ({ ...result, series: result.series.slice(-1) });

export const weightsOf = (arms: readonly { readonly name: string; readonly weight: number }[]) =>
  Object.fromEntries(arms.map(({ name, weight }) => [name, weight]));
