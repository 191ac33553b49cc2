// Confidence sequences for a bounded mean by betting: against every candidate mean a gambler bets that the truth lies higher, another
// that it lies lower. Against the true mean nobody gets rich: wealth is a nonnegative martingale, so it ever reaches 2 / alpha with
// probability alpha / 2 at most (Ville), however often one looks. The candidates that made nobody rich are the interval.
import type { Evidence, Interval } from "./interval.ts";

/**
 * Shares of the largest bet that cannot go broke. Wealth is the mean over these constant bets, so the best of them is found without
 * knowing spread or effect beforehand (Waudby-Smith & Ramdas, arXiv 2010.09686, "diversified Kelly"; spaced by powers of two here, as
 * the best bet is about effect / variance and may be small).
 */
export const BETS: readonly number[] = Array.from({ length: 8 }, (_, k) => 0.96 * 2 ** -k);

/** A limit is found by bisection, to this share of the range; what is given is rejected for sure. */
const PRECISION = 2 ** -14;

export interface MeanSequenceOptions {
  /** Probability that the interval ever misses the mean. */
  readonly alpha: number;
  /** Where the mean is known to lie beforehand. */
  readonly range: Interval;
  /** Candidate means, inside the range, that are tested after each observation and not only at looks. Default: none. */
  readonly thresholds?: readonly number[];
}

export interface MeanSequence extends Evidence {
  /**
   * Takes one observation. Its mean given all before it is the mean that is asked for; `low` and `high` bound it, were fixed before it was
   * seen, and lie at or beyond the range.
   */
  observe(value: number, low: number, high: number): void;
  /** The intersection of the intervals of all times up to now. It goes through all observations: call it when somebody looks. */
  interval(): Interval;
  /** About how many more observations like those seen are needed to tell on which side of the threshold the mean lies; 0 when told. */
  needed(threshold: number): number;
  readonly count: number;
}

type Side = 1 | -1;

interface Test {
  readonly threshold: number;
  readonly side: Side;
  readonly wealth: Float64Array;
  done: boolean;
}

/**
 * A confidence sequence for the mean of bounded observations, valid from the first one on.
 *
 * @throws RangeError for an alpha outside (0, 1), a threshold outside the range, or an observation outside its bounds
 */
export function createMeanSequence({ alpha, range, thresholds = [] }: MeanSequenceOptions): MeanSequence {
  if (!(alpha > 0 && alpha < 1)) throw new RangeError(`alpha is ${alpha}: it must lie between 0 and 1.`);
  for (const threshold of thresholds) {
    if (!(threshold > range.lower && threshold < range.upper)) {
      throw new RangeError(`The threshold ${threshold} must lie between ${range.lower} and ${range.upper}.`);
    }
  }
  const fortune = (2 / alpha) * BETS.length;
  const tests: readonly Test[] = thresholds.flatMap((threshold) =>
    ([1, -1] as const).map((side) => ({ threshold, side, wealth: new Float64Array(BETS.length).fill(1), done: false })),
  );
  const values: number[] = [];
  const lows: number[] = [];
  const highs: number[] = [];
  let total = 0;
  let { lower, upper } = range;

  /** Whether a gambler on that side was ever rich against the candidate. */
  function rejects(candidate: number, side: Side): boolean {
    const wealth = new Float64Array(BETS.length).fill(1);
    return values.some((value, i) => play(wealth, candidate, side, value, lows[i]!, highs[i]!) >= fortune);
  }

  /** Moves a limit from a rejected place towards `to`, as far as candidates are rejected. */
  function push(from: number, to: number, side: Side): number {
    let rejected = from;
    let open = to;
    const finest = (range.upper - range.lower) * PRECISION;
    while (Math.abs(open - rejected) > finest) {
      const middle = (rejected + open) / 2;
      if (rejects(middle, side)) rejected = middle;
      else open = middle;
    }
    return rejected;
  }

  const find = (threshold: number, side: Side): Test => {
    const test = tests.find((candidate) => candidate.threshold === threshold && candidate.side === side);
    if (!test) throw new RangeError(`${threshold} is not among the thresholds.`);
    return test;
  };

  return {
    observe(value, low, high) {
      if (!(low <= value && value <= high)) {
        throw new RangeError(`The observation ${value} must lie between ${low} and ${high}.`);
      }
      values.push(value);
      lows.push(low);
      highs.push(high);
      total += value;
      for (const test of tests) {
        if (test.done) continue;
        if (play(test.wealth, test.threshold, test.side, value, low, high) < fortune) continue;
        // A threshold that would leave nothing between the limits comes from data that have no one mean: what was said first stays.
        test.done = test.side === 1 ? test.threshold < upper : test.threshold > lower;
        if (!test.done) continue;
        if (test.side === 1) lower = Math.max(lower, test.threshold);
        else upper = Math.min(upper, test.threshold);
      }
    },
    interval() {
      const mean = total / Math.max(1, values.length);
      const between = Math.min(Math.max(mean, lower), upper);
      const nextLower = push(lower, between, 1);
      upper = push(upper, between, -1);
      lower = nextLower;
      return { lower, upper };
    },
    isAbove: (threshold) => find(threshold, 1).done,
    isBelow: (threshold) => find(threshold, -1).done,
    needed(threshold) {
      const sides = [find(threshold, 1), find(threshold, -1)];
      if (sides.some((test) => test.done)) return 0;
      // Each bet's wealth grows by the same factor per observation on average: carried on until it alone is a fortune.
      const growth = Math.max(...sides.flatMap((test) => Array.from(test.wealth, Math.log)));
      return growth > 0
        ? Math.ceil(values.length * Math.max(0, Math.log(fortune) / growth - 1))
        : Number.POSITIVE_INFINITY;
    },
    get count() {
      return values.length;
    },
  };
}

/**
 * One round against a candidate, bet by bet; gives the sum of their wealth. What is staked is a share of what cannot go broke: the
 * observation is at worst `low` (`high` on side -1).
 */
function play(wealth: Float64Array, candidate: number, side: Side, value: number, low: number, high: number): number {
  const gain = side === 1 ? (value - candidate) / (candidate - low) : (candidate - value) / (high - candidate);
  let sum = 0;
  for (let k = 0; k < BETS.length; k++) {
    const next = wealth[k]! * (1 + BETS[k]! * gain);
    wealth[k] = next;
    sum += next;
  }
  return sum;
}
