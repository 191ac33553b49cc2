// What an experiment must be beside its form: what it needs is there, and no other takes the same requests at the same time.
import { doOverlap } from "../experiments/index.ts";
import {
  type ExperimentSpec,
  type LogEntry,
  reweighted,
  type StoredExperiment,
  statusOf,
} from "../experiments/live/index.ts";
import type { Quarantines } from "../monitor/index.ts";
import { ApiError } from "../openai/index.ts";
import { AUTO, type Catalogue } from "../variants/index.ts";
import type { ExperimentPatch } from "./experiment-schema.ts";

export const refusedValue = (param: string | undefined, message: string): ApiError =>
  new ApiError("invalid_value", message, { param });

/**
 * @param weights sets among whose variants `auto` chooses
 * @throws ApiError `invalid_value` for an arm that cannot serve what the experiment's requests ask for
 */
export function checkArms(
  { arms }: ExperimentSpec,
  { catalogue, weights, quarantines }: { catalogue: Catalogue; weights: readonly string[]; quarantines: Quarantines },
): void {
  arms.forEach(({ model }, index) => {
    if (model === AUTO) return;
    const param = `arms.${index}.model`;
    const plan = catalogue.get(model)?.plan;
    const name = model.slice(0, 100);
    if (!plan)
      throw refusedValue(
        param,
        `There is no variant '${name}': GET /v1/variants lists those there are, or use "auto".`,
      );
    if (!weights.includes(plan.base.id)) {
      const others = weights.join(", ");
      throw refusedValue(param, `'${name}' has other weights than the requests that the experiment takes, ${others}.`);
    }
    const quarantine = quarantines.get(model);
    if (quarantine) throw refusedValue(param, `'${name}' is quarantined: ${quarantine.reason}. Use another variant.`);
  });
}

/** @throws ApiError `invalid_value` when another experiment could take the same request */
export function checkOverlap({ spec }: StoredExperiment, all: readonly StoredExperiment[], now: number): void {
  const from = (value: string | undefined): number => (value === undefined ? now : Date.parse(value));
  const until = (value: string | undefined): number =>
    value === undefined ? Number.POSITIVE_INFINITY : Date.parse(value);
  const other = all.find(
    (candidate) =>
      candidate.spec.id !== spec.id &&
      ["scheduled", "running"].includes(statusOf(candidate, now)) &&
      from(spec.start) < until(candidate.spec.end) &&
      from(candidate.spec.start) < until(spec.end) &&
      doOverlap(spec.audience, candidate.spec.audience),
  );
  if (other) {
    throw refusedValue(
      "audience",
      `The experiment '${other.spec.id}' runs at the same time and could take the same requests: tell them apart by 'keys' or by the values of one header, or stop it first.`,
    );
  }
}

/**
 * What a change makes of an experiment, and the step of its log.
 * @throws ApiError `invalid_value` that names the field
 */
export function changed(
  stored: StoredExperiment,
  patch: ExperimentPatch,
  { by, now }: { readonly by: string; readonly now: number },
): { readonly next: StoredExperiment; readonly entry: LogEntry } {
  const { id, arms } = stored.spec;
  const status = statusOf(stored, now);
  const fields = Object.keys(patch);
  if (status === "stopped" || status === "ended") {
    const why = status === "ended" ? "has ended" : "is stopped";
    throw refusedValue(fields[0] ?? "id", `The experiment '${id}' ${why}, and stays as it is: make a new one.`);
  }
  if (fields.length === 0)
    throw refusedValue(undefined, "There is nothing to change: give 'weights', 'start', 'end' or 'status'.");
  if (patch.status === "running" && status === "running")
    throw refusedValue("status", `The experiment '${id}' is running already.`);
  if (patch.start !== undefined && (status === "running" || patch.status === "running"))
    throw refusedValue("start", "An experiment that runs has started: leave it out.");
  const start = patch.status === "running" ? new Date(now).toISOString() : (patch.start ?? stored.spec.start);
  const end = patch.end ?? stored.spec.end;
  if (end !== undefined && Date.parse(end) <= Math.max(now, start === undefined ? 0 : Date.parse(start)))
    throw refusedValue("end", "Invalid value for 'end': must be after start and not over yet; to end it now, stop it.");
  const spec: ExperimentSpec = {
    ...stored.spec,
    start,
    end,
    on_verdict: patch.on_verdict ?? stored.spec.on_verdict,
  };
  let next: StoredExperiment = {
    ...stored,
    spec,
    stoppedAt: patch.status === "stopped" ? now : undefined,
    // Before its start there is one epoch, which begins with it.
    epochs:
      start === stored.spec.start
        ? stored.epochs
        : stored.epochs.map((epoch) => ({ ...epoch, from: Date.parse(start ?? "") })),
  };
  if (patch.weights) next = reweighted(next, weightsOf(arms, patch.weights), now);
  return {
    next,
    entry: { at: now, action: patch.status === "stopped" ? "stop_experiment" : "change", by, detail: patch },
  };
}

function weightsOf(arms: ExperimentSpec["arms"], given: Readonly<Record<string, number>>) {
  const unknown = Object.keys(given).find((name) => !arms.some((arm) => arm.name === name));
  if (unknown !== undefined)
    throw refusedValue(
      `weights.${unknown.slice(0, 64)}`,
      `There is no such arm; the arms are ${arms.map(({ name }) => name).join(", ")}.`,
    );
  const weights = arms.map(({ name, weight }) => ({ name, weight: given[name] ?? weight }));
  const sum = weights.reduce((total, { weight }) => total + weight, 0);
  if (Math.abs(sum - 1) >= 1e-6)
    throw refusedValue("weights", `The weights sum to ${Number(sum.toPrecision(6))}; make them sum to 1.`);
  return weights;
}
