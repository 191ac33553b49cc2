// One observation a unit. A user's requests resemble each other, so they are one observation: the unit's mean. A test that is looked at all
// the time also needs each observation to be final, and to come in an order that does not depend on what it says. So a unit is observed for
// a fixed time after its exposure, the same for all; then it is closed, counts, in order of exposure, and never changes again. Taking
// running means would count a user's mood at every look anew; closing a unit at its K-th request would let heavy users in first and leave out those
// whom an arm drove away.
import type { Exposure } from "./assign.ts";
import { armAt, type Layout, sharesOf } from "./layout.ts";

/** One value of one metric of one request. */
export interface Outcome {
  readonly unit: string;
  /** What it counts for: `metricId` of a metric, or `shadowId` of one against the control. */
  readonly metric: string;
  /** Goodness, for a judged metric; the value itself for one that is only shown. */
  readonly value: number;
  /** When the request began, milliseconds since 1970. */
  readonly begunAt: number;
  /** When the outcome was known. */
  readonly at: number;
}

/** A metric of the treatment that is measured on the control's answers. */
export const shadowId = (metric: string, treatment: string): string => `${metric}@${treatment}`;

/** A unit whose time is over. */
export interface ClosedUnit {
  readonly unit: string;
  readonly arm: string;
  /** Probability of each arm for such a unit. */
  readonly shares: ReadonlyMap<string, number>;
  readonly closedAt: number;
  /** Mean of each metric that it has an outcome of. */
  readonly means: ReadonlyMap<string, number>;
}

/** An exposure that counts in its epoch's analysis. */
export interface CountedExposure extends Exposure {
  readonly shares: ReadonlyMap<string, number>;
}

/**
 * The exposures of an epoch that count, in order of time. Left out are units that were in another arm since they were first exposed: what they
 * saw before would count against the wrong arm. Those that stayed through other weights have other shares than new ones.
 *
 * @param exposures of this epoch and those before, in any order
 * @param layouts one per epoch
 */
export function countedExposures(
  exposures: readonly Exposure[],
  layouts: readonly Layout[],
  epoch: number,
): readonly CountedExposure[] {
  const firstEpoch = new Map<string, number>();
  for (const { unit, epoch: at } of exposures) firstEpoch.set(unit, Math.min(at, firstEpoch.get(unit) ?? at));
  const sharesSince = layouts.map((_, first) => sharesOf(layouts.slice(first, epoch + 1)));
  const seen = new Set<string>();
  return exposures
    .filter((exposure) => exposure.epoch === epoch)
    .sort((a, b) => a.at - b.at || (a.unit < b.unit ? -1 : 1))
    .flatMap((exposure) => {
      const first = firstEpoch.get(exposure.unit) ?? epoch;
      const hasMoved = layouts.slice(first, epoch).some((layout) => armAt(layout, exposure.place) !== exposure.arm);
      if (hasMoved || seen.has(exposure.unit)) return [];
      seen.add(exposure.unit);
      return [{ ...exposure, shares: sharesSince[first]! }];
    });
}

export interface CloseOptions {
  /** A unit's requests that begin within this time of its exposure count; at 0 the first alone. */
  readonly windowMs: number;
  /** How long after that outcomes may still come in. */
  readonly settleMs: number;
  readonly now: number;
  /** When the epoch ended, if it did: a unit whose window that cut short is left out. */
  readonly endedAt?: number | undefined;
}

/** Units whose time is over, in order of exposure, with the mean of each metric over their requests. */
export function closedUnits(
  exposures: readonly CountedExposure[],
  outcomes: readonly Outcome[],
  { windowMs, settleMs, now, endedAt = Number.POSITIVE_INFINITY }: CloseOptions,
): readonly ClosedUnit[] {
  const closing = exposures.filter(({ at }) => at + windowMs + settleMs <= now && at + windowMs <= endedAt);
  const sums = new Map(
    closing.map(({ unit, at }) => [unit, { from: at, metrics: new Map<string, [number, number]>() }]),
  );
  for (const { unit, metric, value, begunAt, at } of outcomes) {
    const found = sums.get(unit);
    if (!found || begunAt < found.from || begunAt > found.from + windowMs || at > found.from + windowMs + settleMs)
      continue;
    const [sum, count] = found.metrics.get(metric) ?? [0, 0];
    found.metrics.set(metric, [sum + value, count + 1]);
  }
  return closing.map(({ unit, arm, shares, at }) => ({
    unit,
    arm,
    shares,
    closedAt: at + windowMs + settleMs,
    means: new Map([...sums.get(unit)!.metrics].map(([metric, [sum, count]]) => [metric, sum / count])),
  }));
}
