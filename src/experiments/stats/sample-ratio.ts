// Tells when units do not come into the arms as the weights say. Then something is broken (a cache, a crash in one arm, a bot) and no
// comparison of the arms can be believed, so this is watched all the time, with an alarm that stays valid under watching.

export interface SampleRatio {
  /**
   * Takes one newly exposed unit.
   *
   * @param arm index of its arm
   * @param shares probability of each arm for this unit, summing to 1
   */
  observe(arm: number, shares: readonly number[]): void;
  /** Probability, under a right split, of ever seeing as much evidence against it as was seen; never rises. */
  readonly pValue: number;
  /** Units by arm. */
  readonly counts: readonly number[];
  /** Expected units by arm. */
  readonly expected: readonly number[];
}

/** How many units' worth the prior belief in the weights is: large finds small flaws late, small finds large flaws at once. */
const BELIEF = 100;

/**
 * The Dirichlet-multinomial e-process of Lindon & Malek, "Anytime-Valid Inference for Multinomial Count Data" (NeurIPS 2022): the
 * probability that a learner, who starts from the weights and counts, gave to each next arm, over that of the weights. Where all units have
 * the same shares it is theirs exactly. Units that were in earlier epochs have other shares: the learner then learns how much more often
 * than expected each arm comes. Any such learner makes a nonnegative martingale.
 */
export function createSampleRatio(arms: number): SampleRatio {
  const counts = new Array<number>(arms).fill(0);
  const expected = new Array<number>(arms).fill(0);
  let seen = 0;
  let logEvidence = 0;
  let most = 0;
  return {
    observe(arm, shares) {
      if (!(shares[arm]! > 0)) throw new RangeError(`A unit came into arm ${arm}, whose share is ${shares[arm]}.`);
      const ratio = (k: number): number => {
        const believed = seen === 0 ? shares[k]! : expected[k]! / seen;
        if (believed === 0) return 1;
        return (BELIEF * believed + counts[k]!) / (BELIEF * believed + expected[k]!);
      };
      const total = shares.reduce((sum, share, k) => sum + share * ratio(k), 0);
      logEvidence += Math.log(ratio(arm) / total);
      most = Math.max(most, logEvidence);
      counts[arm]!++;
      seen++;
      shares.forEach((share, k) => {
        expected[k]! += share;
      });
    },
    get pValue() {
      return Math.exp(-most);
    },
    counts,
    expected,
  };
}
