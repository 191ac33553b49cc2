// A quantile sketch with weights: DDSketch (Masson, Rim and Lee, VLDB 2019) with logarithmic bins, kept as plain data. Merging adds bins
// and forgetting scales them, so that what is learnt in many places adds up and grows old. Own code because the published library,
// @datadog/sketches-js, cannot scale a sketch and stores itself as protobuf only.

/** Relative error of a value that is taken for its bin's middle, at most. */
const ACCURACY = 0.02;
/** From one bin to the next: what a quantile is off by, at most. */
export const GAMMA = (1 + ACCURACY) / (1 - ACCURACY);
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

/** A distribution that is asked often: cumulative shares by bin. Ready-made, it costs a look-up. */
export interface Distribution {
  /** Index of the first bin. */
  readonly first: number;
  /** Share at or below each bin; the last is 1. Empty where nothing is known. */
  readonly below: Float64Array;
}

/** The same sketch of values that are all multiplied by a factor, to the nearest bin. */
export const multiplied = ({ first, weights }: Sketch, factor: number): Sketch => ({
  first: first + Math.round(Math.log(factor) / LOG_GAMMA),
  weights,
});

/** Several sketches as one distribution, each of their weights times a factor. */
export function distributionOf(parts: readonly (readonly [Sketch, number])[]): Distribution {
  const used = parts.filter(([{ weights }, factor]) => weights.length > 0 && factor > 0);
  if (used.length === 0) return { first: 0, below: new Float64Array(0) };
  const first = Math.min(...used.map(([sketch]) => sketch.first));
  const end = Math.max(...used.map(([sketch]) => sketch.first + sketch.weights.length));
  const below = new Float64Array(end - first);
  for (const [sketch, factor] of used) {
    for (const [i, weight] of sketch.weights.entries()) {
      const at = sketch.first - first + i;
      below[at] = (below[at] as number) + weight * factor;
    }
  }
  for (let i = 1; i < below.length; i++) below[i] = (below[i] as number) + (below[i - 1] as number);
  const total = below[below.length - 1] as number;
  return { first, below: below.map((weight) => weight / total) };
}

/** Share at or below a value; within a bin it grows with the value's logarithm. NaN where nothing is known. */
export function shareBelow({ first, below }: Distribution, value: number): number {
  if (below.length === 0) return Number.NaN;
  if (!(value > 0)) return 0;
  const at = Math.log(Math.min(value, 2 * MOST)) / LOG_GAMMA - first + 1;
  const bin = Math.floor(at);
  if (bin < 0) return 0;
  if (bin >= below.length) return 1;
  const under = bin > 0 ? (below[bin - 1] as number) : 0;
  return under + (at - bin) * ((below[bin] as number) - under);
}

/** The inverse of `shareBelow`: the value with this share at or below it. NaN where nothing is known. */
export function valueAt({ first, below }: Distribution, share: number): number {
  if (below.length === 0) return Number.NaN;
  let [low, high] = [0, below.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((below[middle] as number) >= share - 1e-12) high = middle;
    else low = middle + 1;
  }
  const under = low > 0 ? (below[low - 1] as number) : 0;
  const within = Math.min(1, Math.max(0, (share - under) / ((below[low] as number) - under)));
  return GAMMA ** (first + low - 1 + within);
}

/** Several quantiles of several sketches as one. */
export function quantilesOf(parts: readonly (readonly [Sketch, number])[], shares: readonly number[]): number[] {
  const distribution = distributionOf(parts);
  return shares.map((share) => valueAt(distribution, share));
}

/**
 * The smallest value with at least this share of the weight at or below it, in the bin of the true one.
 * @param share 0 to 1
 * @returns NaN for an empty sketch
 */
export function quantile(sketch: Sketch, share: number): number {
  return quantilesOf([[sketch, 1]], [share])[0] as number;
}
