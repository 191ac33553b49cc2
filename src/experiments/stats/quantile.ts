// Confidence sequences for quantiles. They need no bounds: only how many observations lie below a value counts. A high quantile says
// nothing until there are enough observations that some should have been beyond it.
import { logBeta } from "./beta.ts";
import type { Interval } from "./interval.ts";

/** The sequence is at its narrowest about here: after so many expected observations beyond the quantile, on its rarer side. */
const TUNED_FOR = 32;

/** Of how many counts below the quantile, of `count` observations, one would be surprised: outside [fewest, most]. */
export interface Counts {
  readonly fewest: number;
  readonly most: number;
}

/**
 * The counts of `count` draws with probability p each that were never surprising at any time, with probability 1 - alpha.
 *
 * The draws' likelihood under a Beta prior of mean p, divided by that under p, is a nonnegative martingale, so it ever reaches 1 / alpha
 * with probability alpha at most. This is the two-sided beta-binomial mixture of Howard & Ramdas (Bernoulli 28(3), 2022, and
 * `beta_binomial_mixture_bound` of the authors' `confseq`), with its parameter r chosen for `TUNED_FOR`.
 */
export function createCounts(p: number, alpha: number): (count: number) => Counts {
  const tuned = TUNED_FOR / Math.min(p, 1 - p);
  // r of confseq: the variance p (1 - p) t at which the normal mixture is narrowest, less g h.
  const squared = 2 * Math.log(1 / alpha);
  const r = Math.max((p * (1 - p) * tuned) / (squared + Math.log1p(squared)) - p * (1 - p), 1e-3 * p * (1 - p));
  const [below, beyond] = [r / (1 - p), r / p];
  const prior = logBeta(below, beyond);
  const logEvidence = (k: number, count: number): number =>
    logBeta(below + k, beyond + count - k) - prior - k * Math.log(p) - (count - k) * Math.log(1 - p);
  const limit = Math.log(1 / alpha);

  /** The last count from the expected one towards the end that is not surprising: evidence only rises on the way. */
  const edge = (count: number, end: number): number => {
    const step = Math.sign(end - count * p) || 1;
    let good = step > 0 ? Math.floor(count * p) : Math.ceil(count * p);
    let bad = end + step;
    while (Math.abs(bad - good) > 1) {
      const middle = Math.trunc((good + bad) / 2);
      if (logEvidence(middle, count) < limit) good = middle;
      else bad = middle;
    }
    return good;
  };
  return (count) => ({ fewest: edge(count, 0), most: edge(count, count) });
}

/**
 * How many observations it takes until the sequence has a limit on both sides of the p-quantile.
 */
export function leastSample(p: number, alpha: number): number {
  const counts = createCounts(p, alpha);
  const speaks = (count: number): boolean => {
    const { fewest, most } = counts(count);
    return fewest >= 1 && most < count;
  };
  let enough = 1;
  while (!speaks(enough)) enough *= 2;
  let few = Math.floor(enough / 2);
  while (enough - few > 1) {
    const middle = Math.floor((few + enough) / 2);
    if (speaks(middle)) enough = middle;
    else few = middle;
  }
  return enough;
}

export interface QuantileSequence {
  observe(value: number): void;
  /** The intersection of the intervals at all looks up to now. */
  interval(): Interval;
  /** The smallest observation that at least a share p of the observations does not exceed; NaN without any. */
  estimate(): number;
  readonly count: number;
}

/**
 * A confidence sequence for the p-quantile of independent observations of one distribution, which may have atoms.
 *
 * A value is out when surprisingly few observations are at or below it, or surprisingly many strictly below: one sequence of draws with
 * probability p lies between both counts, so alpha covers both sides.
 *
 * @throws RangeError for p or alpha outside (0, 1), or an observation that is not a number
 */
export function createQuantileSequence(p: number, alpha: number): QuantileSequence {
  for (const [name, value] of Object.entries({ p, alpha })) {
    if (!(value > 0 && value < 1)) throw new RangeError(`${name} is ${value}: it must lie between 0 and 1.`);
  }
  const counts = createCounts(p, alpha);
  const sorted: number[] = [];
  let lower = Number.NEGATIVE_INFINITY;
  let upper = Number.POSITIVE_INFINITY;
  return {
    observe(value) {
      if (Number.isNaN(value)) throw new RangeError("An observation is not a number.");
      let at = 0;
      for (let end = sorted.length; at < end; ) {
        const middle = (at + end) >>> 1;
        if (sorted[middle]! <= value) at = middle + 1;
        else end = middle;
      }
      sorted.splice(at, 0, value);
    },
    interval() {
      const { fewest, most } = counts(sorted.length);
      const nextLower = Math.max(lower, fewest >= 1 ? sorted[fewest - 1]! : Number.NEGATIVE_INFINITY);
      const nextUpper = Math.min(upper, most < sorted.length ? sorted[most]! : Number.POSITIVE_INFINITY);
      // Limits that cross come from data that have no one quantile: what was said first stays.
      if (nextLower <= nextUpper) [lower, upper] = [nextLower, nextUpper];
      return { lower, upper };
    },
    estimate: () => sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)] ?? Number.NaN,
    get count() {
      return sorted.length;
    },
  };
}
