// The statistics that scores need. Seeded, so that a report made twice is the same report.
import { sfc32 } from "./random.ts";

const RESAMPLES = 1000;

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** With n - 1 in the denominator. */
export function sampleDeviation(values: readonly number[]): number {
  const middle = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - middle) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1));
}

/**
 * Values of a statistic over resamples of the items, drawn with replacement (Efron 1979).
 * @param resamples how many, default 1,000
 */
export function bootstrap<T>(
  items: readonly T[],
  statistic: (drawn: readonly T[]) => number,
  { resamples = RESAMPLES, seed = 1 } = {},
): number[] {
  const random = sfc32(seed);
  const drawn = [...items];
  return Array.from({ length: resamples }, () => {
    for (let i = 0; i < drawn.length; i++) drawn[i] = items[Math.floor(random() * items.length)] as T;
    return statistic(drawn);
  });
}
