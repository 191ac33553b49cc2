// One metric of one treatment against the control, fed unit by unit: the three ways of judging behind one interface.
import { metricKind, type Scale, scaleOf } from "./metrics.ts";
import { type MetricSpec, metricId } from "./schema.ts";
import { createMeanSequence } from "./stats/betting.ts";
import { createDifference } from "./stats/difference.ts";
import type { Evidence, Interval } from "./stats/interval.ts";
import { createQuantileSequence, leastSample } from "./stats/quantile.ts";
import { type ClosedUnit, shadowId } from "./units.ts";

/** Differences and margins are of goodness: treatment minus control, positive is better. */
export interface Comparison extends Evidence {
  /** Takes a unit if it says something on this comparison, and tells whether it does. */
  observe(unit: ClosedUnit): boolean;
  interval(): Interval;
  /** Goodness in either arm; NaN without units. */
  estimates(): { readonly treatment: number; readonly control: number };
  /** About how many more units it takes until the verdict is no longer `undecided`; infinite where that cannot be told. */
  needed(): number;
  readonly scale: Scale;
  /** The accepted loss. */
  readonly margin: number;
}

export interface ComparisonOptions {
  readonly spec: MetricSpec;
  readonly treatment: string;
  readonly control: string;
  /** Probability that this comparison's interval ever misses. */
  readonly alpha: number;
}

export function createComparison(options: ComparisonOptions): Comparison {
  if (options.spec.statistic !== "mean") return compareQuantiles(options, options.spec.statistic.quantile);
  const controlIs = metricKind(options.spec.metric).controlIs;
  return controlIs === undefined ? compareMeans(options) : compareWithKnown(options, controlIs);
}

/** Means of randomized units. */
function compareMeans({ spec, treatment, control, alpha }: ComparisonOptions): Comparison {
  const scale = scaleOf(spec);
  const margin = spec.margin / scale.width;
  const id = metricId(spec);
  const difference = createDifference({ alpha, thresholds: [-margin, 0] });
  return {
    observe({ arm, shares, means }) {
      const value = means.get(id);
      const [treated, held] = [shares.get(treatment) ?? 0, shares.get(control) ?? 0];
      if (value === undefined || (arm !== treatment && arm !== control) || treated === 0 || held === 0) return false;
      difference.observe(arm === treatment, treated / (treated + held), value);
      return true;
    },
    interval: difference.interval,
    isAbove: difference.isAbove,
    isBelow: difference.isBelow,
    estimates: difference.means,
    needed: () => difference.needed(-margin),
    scale,
    margin,
  };
}

/** The mean of a metric whose value for the control is known by definition, whatever arm the unit is in. */
function compareWithKnown({ spec, treatment, alpha }: ComparisonOptions, controlIs: number): Comparison {
  const scale = scaleOf(spec);
  const margin = spec.margin / scale.width;
  const id = shadowId(metricId(spec), treatment);
  const known = scale.toGoodness(controlIs);
  const [low, high] = [-known, 1 - known];
  const thresholds = [-margin, 0].filter((threshold) => threshold > low && threshold < high);
  const sequence = createMeanSequence({ alpha, thresholds, range: { lower: low, upper: high } });
  let total = 0;
  return {
    observe({ means }) {
      const value = means.get(id);
      if (value === undefined) return false;
      sequence.observe(value - known, low, high);
      total += value;
      return true;
    },
    interval: sequence.interval,
    isAbove: (threshold) => thresholds.includes(threshold) && sequence.isAbove(threshold),
    isBelow: (threshold) => thresholds.includes(threshold) && sequence.isBelow(threshold),
    estimates: () => ({ treatment: total / sequence.count, control: known }),
    needed: () => sequence.needed(-margin),
    scale,
    margin,
  };
}

/**
 * Quantiles of the units' means: each arm's sequence misses with probability alpha / 2, and the difference lies between the outer limits.
 * Unlike means these want an arm's units to be alike over time.
 */
function compareQuantiles({ spec, treatment, control, alpha }: ComparisonOptions, quantile: number): Comparison {
  const scale = scaleOf(spec);
  const margin = spec.margin / scale.width;
  const id = metricId(spec);
  // The p90 of a time is the p10 of its goodness.
  const p = scale.isHigherBetter ? quantile : 1 - quantile;
  const arms = { treatment: createQuantileSequence(p, alpha / 2), control: createQuantileSequence(p, alpha / 2) };
  const interval = (): Interval => {
    const [a, b] = [arms.treatment.interval(), arms.control.interval()];
    return { lower: Math.max(-1, a.lower - b.upper), upper: Math.min(1, a.upper - b.lower) };
  };
  return {
    observe({ arm, means }) {
      const value = means.get(id);
      if (value === undefined || (arm !== treatment && arm !== control)) return false;
      arms[arm === treatment ? "treatment" : "control"].observe(value);
      return true;
    },
    interval,
    isAbove: (threshold) => interval().lower > threshold,
    isBelow: (threshold) => interval().upper < threshold,
    estimates: () => ({ treatment: arms.treatment.estimate(), control: arms.control.estimate() }),
    needed() {
      const count = arms.treatment.count + arms.control.count;
      const rarer = Math.min(arms.treatment.count, arms.control.count);
      const least = leastSample(p, alpha / 2);
      // Until the rarer arm has its least sample there is no limit; after that widths shrink with the root of the sample.
      if (rarer < least) return rarer === 0 ? Number.POSITIVE_INFINITY : Math.ceil((count / rarer) * least) - count;
      const { lower, upper } = interval();
      const distance = Math.abs(arms.treatment.estimate() - arms.control.estimate() + margin);
      if (lower > -margin || upper < -margin) return 0;
      return distance > 0
        ? Math.max(0, Math.ceil(count * (((upper - lower) / 2 / distance) ** 2 - 1)))
        : Number.POSITIVE_INFINITY;
    },
    scale,
    margin,
  };
}
