// The statistics that scores need: bootstrap, and McNemar's exact test. Seeded, so that a report made twice is the same report.

const RESAMPLES = 1000;

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** With n - 1 in the denominator. */
export function sampleDeviation(values: readonly number[]): number {
  const middle = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - middle) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1));
}

/** Uniform numbers in [0, 1): sfc32 (Doty-Humphrey, PractRand), 2^127 expected period. */
function createRandom(seed: number): () => number {
  let a = 0;
  let b = 0;
  let c = seed | 0;
  let counter = 1;
  const next = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 12; i++) next();
  return next;
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
  const random = createRandom(seed);
  const drawn = [...items];
  return Array.from({ length: resamples }, () => {
    for (let i = 0; i < drawn.length; i++) drawn[i] = items[Math.floor(random() * items.length)] as T;
    return statistic(drawn);
  });
}

/** The value below which a share of the values lies, between two of them by straight line; `share` in [0, 1]. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const place = share * (sorted.length - 1);
  const low = sorted[Math.floor(place)] as number;
  const high = sorted[Math.ceil(place)] as number;
  return low + (high - low) * (place - Math.floor(place));
}

/**
 * McNemar's exact test: how likely a split of the discordant items is that is at least as uneven, if either variant were right on
 * each with probability 1/2. Two-sided; 1 where no items are discordant.
 */
export function mcnemar(onlyFirst: number, onlySecond: number): number {
  const n = onlyFirst + onlySecond;
  const fewer = Math.min(onlyFirst, onlySecond);
  let term = -n * Math.LN2;
  let tail = 0;
  for (let k = 0; k <= fewer; k++) {
    tail += Math.exp(term);
    term += Math.log((n - k) / (k + 1));
  }
  return Math.min(1, 2 * tail);
}
