// What can become of an experiment: pure changes of what is kept.
import { layoutOf, type Weight } from "../layout.ts";
import type { ExperimentSpec } from "./spec.ts";
import type { StoredExperiment } from "./stored.ts";

/** @param secret 16 random bytes in hexadecimal */
export function newExperiment(spec: ExperimentSpec, secret: string, now: number): StoredExperiment {
  const start = spec.start ?? new Date(now).toISOString();
  return {
    spec: { ...spec, start },
    epochs: [{ from: Date.parse(start), layout: layoutOf(spec.arms) }],
    secret,
    version: 1,
    createdAt: now,
    stoppedAt: undefined,
  };
}

/** The next epoch, in which only those units change their arm that must. @throws RangeError for weights that do not sum to 1 */
export function reweighted(stored: StoredExperiment, weights: readonly Weight[], now: number): StoredExperiment {
  const { spec, epochs } = stored;
  const last = epochs.at(-1);
  const layout = layoutOf(weights, last?.layout);
  const byName = new Map(weights.map(({ name, weight }) => [name, weight]));
  return {
    ...stored,
    spec: { ...spec, arms: spec.arms.map((arm) => ({ ...arm, weight: byName.get(arm.name) ?? 0 })) },
    epochs: [...epochs, { from: Math.max(now, last?.from ?? now), layout }],
  };
}

/** An experiment's weights once an arm has them all. */
export const promoted = ({ arms }: ExperimentSpec, winner: string): Weight[] =>
  arms.map(({ name }) => ({ name, weight: name === winner ? 1 : 0 }));

/** An experiment's weights without some arms: the others share what these had in proportion to their own. */
export function withoutArms({ arms, control }: ExperimentSpec, losers: readonly string[]): Weight[] {
  const left = arms.map(({ name, weight }) => ({ name, weight: losers.includes(name) ? 0 : weight }));
  const sum = left.reduce((total, { weight }) => total + weight, 0);
  if (sum === 0) return left.map(({ name }) => ({ name, weight: name === control ? 1 : 0 }));
  return left.map(({ name, weight }) => ({ name, weight: weight / sum }));
}
