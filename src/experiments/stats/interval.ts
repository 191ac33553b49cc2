// What every confidence sequence gives, and how its limits become a verdict.

/** Limits that hold at all times at once with probability 1 - alpha. Infinite where nothing can be said yet. */
export interface Interval {
  readonly lower: number;
  readonly upper: number;
}

export type Verdict = "superior" | "non-inferior" | "inferior" | "undecided";

/** What a confidence sequence has shown. */
export interface Evidence {
  isAbove(threshold: number): boolean;
  isBelow(threshold: number): boolean;
}

/**
 * The verdict on a difference, treatment minus control, where positive is better.
 *
 * @param margin the largest loss that is accepted, above 0
 */
export function verdictOf({ isAbove, isBelow }: Evidence, margin: number): Verdict {
  if (isAbove(0)) return "superior";
  if (isAbove(-margin)) return "non-inferior";
  return isBelow(-margin) ? "inferior" : "undecided";
}

/**
 * The alpha of one interval, so that all verdicts of an experiment are right together with probability 1 - alpha (Bonferroni).
 *
 * @param arms number of arms, the control included
 * @param metrics number of judged metrics
 */
export const splitAlpha = (alpha: number, arms: number, metrics: number): number =>
  alpha / Math.max(1, (arms - 1) * metrics);
