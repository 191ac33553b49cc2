// The arm of a request. Needs no more than what this isolate knows, and says to the queue of records what it must, once.
import type { Recorder } from "../../storage/index.ts";
import { AUTO } from "../../variants/index.ts";
import { expose, exposureKey } from "../assign.ts";
import { isInvited, unitName, type Visitor } from "../audience.ts";
import type { Place } from "./outcomes.ts";
import { recordCompletion, recordExposure } from "./outcomes.ts";
import type { RunningExperiment, RunningExperiments } from "./running.ts";
import type { Arm, ExperimentSpec } from "./spec.ts";

export interface Assignment extends Place {
  readonly assigned: Arm;
  readonly spec: ExperimentSpec;
  /** When the request began, milliseconds since 1970. */
  readonly begunAt: number;
}

export interface AssignRequest {
  /** Id that the reply will have. */
  readonly id: string;
  readonly visitor: Visitor;
  readonly waitUntil: (promise: Promise<unknown>) => void;
}

export type Assign = (request: AssignRequest) => Promise<Assignment | undefined>;

export interface AssignOptions {
  readonly running: RunningExperiments;
  readonly recorder: Recorder;
  /** Why a variant may not serve now, and since when; undefined where it may. */
  whyNot(
    variant: string,
    waitUntil: AssignRequest["waitUntil"],
  ): Promise<{ readonly reason: string; readonly since: number } | undefined>;
  now(): number;
}

/** Exposures that an isolate knows to be recorded: D1 keeps one of each however often it comes. */
const MOST_KNOWN = 10_000;

export function createAssign({ running, recorder, whyNot, now }: AssignOptions): Assign {
  const known = new Set<string>();
  const isNews = (key: string): boolean => {
    if (known.has(key)) return false;
    if (known.size >= MOST_KNOWN) known.clear();
    known.add(key);
    return true;
  };
  return async ({ id, visitor, waitUntil }) => {
    const experiments = await running.get(waitUntil);
    if (experiments.length === 0) return undefined;
    const found = placeOf(experiments, visitor, now());
    if (!found) return undefined;
    const { experiment, exposure } = found;
    const assigned = experiment.spec.arms.find(({ name }) => name === exposure.arm) as Arm;
    const obstacle = assigned.model === AUTO ? undefined : await whyNot(assigned.model, waitUntil);
    if (obstacle) {
      // As without the experiment, and on record.
      const key = `${exposure.experiment}/unserved/${assigned.name}/${obstacle.since}`;
      if (isNews(key)) {
        const detail = JSON.stringify({ arm: assigned.name, model: assigned.model, reason: obstacle.reason });
        const entry = {
          id: key,
          experiment: exposure.experiment,
          at: now(),
          action: "arm_unserved",
          by: "gateway",
          detail,
        };
        waitUntil(recorder.record("experiment_log", [entry]));
      }
      return undefined;
    }
    if (isNews(exposureKey(exposure))) waitUntil(recordExposure(recorder, exposure));
    const { place: _, at: begunAt, ...place } = exposure;
    waitUntil(recordCompletion(recorder, { id, key: visitor.keyId, begunAt, ...place }));
    return { ...place, assigned, spec: experiment.spec, begunAt };
  };
}

/** The first experiment that takes the request: no two that run at once can. */
function placeOf(experiments: readonly RunningExperiment[], visitor: Visitor, at: number) {
  for (const experiment of experiments) {
    const { spec, epochs, hash } = experiment;
    if (!isInvited(spec.audience, visitor)) continue;
    const name = unitName(spec.unit, visitor);
    if (name === undefined) continue;
    const unit = hash(name);
    if (unit.draw >= spec.audience.share) continue;
    const layouts = epochs.map(({ layout }) => layout);
    return { experiment, exposure: expose({ experiment: spec.id, layouts, unit, at }) };
  }
  return undefined;
}
