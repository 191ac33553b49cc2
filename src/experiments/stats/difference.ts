// The difference of two arms' means on randomized units, as one martingale: each unit gives an unbiased guess of the difference because
// chance, with a share that is known, put it into its arm. So nothing has to stay as it is over time (load by day and night shifts both
// arms alike), arms may be of any size, and each observation can be looked at.
import { createMeanSequence } from "./betting.ts";
import type { Evidence, Interval } from "./interval.ts";

export interface DifferenceOptions {
  readonly alpha: number;
  /** Differences that are tested after each observation, each in (-1, 1). */
  readonly thresholds: readonly number[];
}

export interface DifferenceSequence extends Evidence {
  /**
   * @param isTreated which of the two arms the unit was put into
   * @param share probability, in (0, 1), with which it came into the treatment rather than into the control
   * @param value the unit's mean, in [0, 1]
   */
  observe(isTreated: boolean, share: number, value: number): void;
  /** Limits of treatment minus control, in [-1, 1]. */
  interval(): Interval;
  /** About how many more units it takes to tell on which side of the threshold the difference lies. */
  needed(threshold: number): number;
  /** Plain means of the arms' units; NaN without units. */
  means(): { readonly treatment: number; readonly control: number };
  readonly count: number;
}

/**
 * A confidence sequence for the average effect of treatment on a unit, when a unit's value lies in [0, 1].
 *
 * Per unit the doubly robust guess `m1 - m0 + T (x - m1) / share - (1 - T) (x - m0) / (1 - share)`, with m1 and m0 the means of the units
 * before it, has the difference as its mean given the past, and bounds that are known before the unit: the betting sequence applies.
 * The guess is used so in Waudby-Smith, Wu, Ramdas, Karampatziakis & Mineiro, "Anytime-valid off-policy inference for contextual bandits"
 * (arXiv 2210.10768), and in section 4.2 of Howard, Ramdas, McAuliffe & Sekhon (Annals of Statistics 49(2), 2021). Where not all units
 * have an outcome (few rate) and the arms differ in how many, it stays centred as soon as m1 and m0 are close to the arms' means.
 *
 * @throws RangeError for a value outside [0, 1] or a share outside (0, 1)
 */
export function createDifference({ alpha, thresholds }: DifferenceOptions): DifferenceSequence {
  const sequence = createMeanSequence({ alpha, thresholds, range: { lower: -1, upper: 1 } });
  const sums = { treatment: 0, control: 0 };
  const counts = { treatment: 0, control: 0 };
  /** Mean of the units before, drawn to the middle by one more unit. */
  const guess = (arm: "treatment" | "control"): number => (sums[arm] + 0.5) / (counts[arm] + 1);

  return {
    observe(isTreated, share, value) {
      if (!(value >= 0 && value <= 1)) throw new RangeError(`A unit's value is ${value}: it must lie between 0 and 1.`);
      if (!(share > 0 && share < 1)) throw new RangeError(`A share is ${share}: it must lie between 0 and 1.`);
      const m1 = guess("treatment");
      const m0 = guess("control");
      const low = m1 - m0 - Math.max(m1 / share, (1 - m0) / (1 - share));
      const high = m1 - m0 + Math.max((1 - m1) / share, m0 / (1 - share));
      const effect = m1 - m0 + (isTreated ? (value - m1) / share : (m0 - value) / (1 - share));
      sequence.observe(Math.min(Math.max(effect, low), high), low, high);
      const arm = isTreated ? "treatment" : "control";
      sums[arm] += value;
      counts[arm]++;
    },
    interval: sequence.interval,
    isAbove: sequence.isAbove,
    isBelow: sequence.isBelow,
    needed: sequence.needed,
    means: () => ({ treatment: sums.treatment / counts.treatment, control: sums.control / counts.control }),
    get count() {
      return sequence.count;
    },
  };
}
