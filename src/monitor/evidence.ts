// How strongly served results speak against being the recorded ones. One looks again after every slice, at many variants, for as long as
// the service runs; so the test is one that may be looked at any time: an e-process.

export interface EvidenceOptions {
  /** Share of items that may differ from their records, conditionally on all before, while nothing is wrong; in (0, 0.5]. */
  readonly nullRate: number;
}

/** How many rates the alternative is a mixture of. */
const RATES = 20;
const HIGHEST_RATE = 0.95;

/**
 * Logarithm of the largest value that the e-process has reached: the mean, over discordance rates q between `nullRate` and 0.95 at equal
 * ratios, of the likelihood ratio of q to `nullRate` (mixture of Robbins, Ann. Math. Statist. 41, 1970). For rates up to `nullRate` each
 * ratio is a nonnegative supermartingale that begins at 1, so with probability 1 - a it never reaches 1 / a (Ville 1939; Ramdas, Gruenwald,
 * Vovk and Shafer, "Game-theoretic statistics and safe anytime-valid inference", Statistical Science 38(4), 2023).
 * @param discordant one entry per item, in the order of measurement
 * @returns natural logarithm, at least 0
 */
export function logEvidence(discordant: readonly boolean[], { nullRate }: EvidenceOptions): number {
  const ratio = (HIGHEST_RATE / nullRate) ** (1 / RATES);
  const rates = Array.from({ length: RATES }, (_, i) => nullRate * ratio ** (i + 1));
  const bets = rates.map((rate) => ({
    hit: Math.log(rate / nullRate),
    miss: Math.log((1 - rate) / (1 - nullRate)),
    log: 0,
  }));
  let largest = 0;
  for (const hit of discordant) {
    for (const bet of bets) bet.log += hit ? bet.hit : bet.miss;
    const top = Math.max(...bets.map(({ log }) => log));
    const mean = bets.reduce((sum, { log }) => sum + Math.exp(log - top), 0) / RATES;
    largest = Math.max(largest, top + Math.log(mean));
  }
  return largest;
}

/**
 * Where evidence is beyond chance. All variants and all their runs together raise a false alarm with probability `level` at most: a
 * variant's n-th run is given level / variants / (n (n + 1)), and these sum to `level`.
 * @param run counts from 0
 * @returns natural logarithm
 */
export const alarmThreshold = (level: number, variants: number, run: number): number =>
  Math.log((variants * (run + 1) * (run + 2)) / level);
