// A quantile sketch with weights: DDSketch (Masson, Rim and Lee, VLDB 2019) with logarithmic bins, kept as plain data. Merging adds bins
// and forgetting scales them, so that what is learnt in many places adds up and grows old. Own code because the published library,
// @datadog/sketches-js, cannot scale a sketch and stores itself as protobuf only.

/** Relative error of a quantile, at most. */
export const ACCURACY = 0.02;
const GAMMA = (1 + ACCURACY) / (1 - ACCURACY);
const LOG_GAMMA = Math.log(GAMMA);
/** Values beyond are counted as these: ratios of times and lengths, of which such ones say nothing more. */
const [LEAST, MOST] = [1e-4, 1e4];
/** A bin with less weight than this is forgotten. */
const DUST = 1e-3;

export interface Sketch {
  /** Index of the first bin; bin `i` holds values in (gamma^(i-1), gamma^i]. */
  first: number;
  /** Weight of each bin. */
  weights: number[];
}

const valueOfBin = (bin: number): number => (2 * GAMMA ** bin) / (GAMMA + 1);

export const emptySketch = (): Sketch => ({ first: 0, weights: [] });

export const weightOf = ({ weights }: Sketch): number => weights.reduce((sum, weight) => sum + weight, 0);

/** @param value above 0 */
export function add(sketch: Sketch, value: number, weight = 1): void {
  const clamped = Math.min(MOST, Math.max(LEAST, value));
  addToBin(sketch, Math.ceil(Math.log(clamped) / LOG_GAMMA), weight);
}

function addToBin(sketch: Sketch, bin: number, weight: number): void {
  const { weights } = sketch;
  if (weights.length === 0) sketch.first = bin;
  while (bin < sketch.first) {
    weights.unshift(0);
    sketch.first--;
  }
  while (bin >= sketch.first + weights.length) weights.push(0);
  weights[bin - sketch.first] = (weights[bin - sketch.first] as number) + weight;
}

/** The bins that hold something, lowest first, each with the value that stands for it. */
export const binsOf = ({ first, weights }: Sketch): { readonly value: number; readonly weight: number }[] =>
  weights.flatMap((weight, i) => (weight > 0 ? [{ value: valueOfBin(first + i), weight }] : []));

/** Adds a sketch to another, each of its weights times `scale`. */
export function merge(into: Sketch, from: Sketch, scale = 1): void {
  from.weights.forEach((weight, i) => {
    if (weight > 0) addToBin(into, from.first + i, weight * scale);
  });
}

/** Multiplies all weights. */
export function scale(sketch: Sketch, factor: number): void {
  const weights = sketch.weights.map((weight) => (weight * factor < DUST ? 0 : weight * factor));
  const first = weights.findIndex((weight) => weight > 0);
  sketch.weights = first < 0 ? [] : weights.slice(first, weights.findLastIndex((weight) => weight > 0) + 1);
  sketch.first = first < 0 ? 0 : sketch.first + first;
}

/** Several sketches as one, each of its weights times a factor, without making it: for many quantiles at once. */
export function quantilesOf(parts: readonly (readonly [Sketch, number])[], shares: readonly number[]): number[] {
  const used = parts.filter(([{ weights }, factor]) => weights.length > 0 && factor > 0);
  const first = Math.min(...used.map(([sketch]) => sketch.first));
  const end = Math.max(...used.map(([sketch]) => sketch.first + sketch.weights.length));
  const weights = new Float64Array(Math.max(0, end - first));
  let total = 0;
  for (const [sketch, factor] of used) {
    for (let i = 0, at = sketch.first - first; i < sketch.weights.length; i++, at++) {
      const weight = (sketch.weights[i] as number) * factor;
      weights[at] = (weights[at] as number) + weight;
      total += weight;
    }
  }
  return shares.map((share) => {
    let seen = 0;
    let last = Number.NaN;
    for (let i = 0; i < weights.length; i++) {
      const weight = weights[i] as number;
      if (weight === 0) continue;
      last = i;
      seen += weight;
      if (seen >= share * total) break;
    }
    return valueOfBin(first + last);
  });
}

/**
 * The smallest value with at least this share of the weight at or below it, within `ACCURACY` of the true one.
 * @param share 0 to 1
 * @returns NaN for an empty sketch
 */
export function quantile(sketch: Sketch, share: number): number {
  return quantilesOf([[sketch, 1]], [share])[0] as number;
}
