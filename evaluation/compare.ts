// Compares two variants item by item: what is hard for one is hard for the other, so the paired difference is known far better than
// either score.
import { type ItemResult, type MetricRule, metricValue, sharesOf } from "./metrics.ts";
import { bootstrap, mcnemar, quantile, sampleDeviation } from "./statistics.ts";

/** Results of one variant by item number. */
export type ItemResults = ReadonlyMap<number, ItemResult>;

export interface Comparison {
  readonly metric: string;
  /** Items that both have results of; the others are left out. */
  readonly items: number;
  readonly first: number;
  readonly second: number;
  /** Second minus first. */
  readonly difference: number;
  /** Standard error of the difference, by paired bootstrap. */
  readonly stderr: number;
  /** Percentile interval of the paired bootstrap. */
  readonly interval: { readonly confidence: number; readonly low: number; readonly high: number };
  /** Where the metric is a mean of zeros and ones. */
  readonly mcnemar?: { readonly onlyFirst: number; readonly onlySecond: number; readonly p: number };
}

/**
 * @param confidence of the interval, default 0.95
 * @throws Error when fewer than two items have results of both
 */
export function compare(
  first: ItemResults,
  second: ItemResults,
  rule: MetricRule,
  { confidence = 0.95, resamples = 1000, seed = 1 } = {},
): Comparison {
  const shared = [...first.keys()].filter((item) => second.has(item)).sort((a, b) => a - b);
  if (shared.length < 2) throw new Error(`${shared.length} items have results of both variants; a comparison needs 2`);
  const [a, b] = [first, second].map((results) =>
    sharesOf(
      shared.map((item) => results.get(item) as ItemResult),
      rule,
    ),
  ) as [ReturnType<typeof sharesOf>, ReturnType<typeof sharesOf>];
  const difference = (places: readonly number[]): number => {
    const drawn = (shares: typeof a) => places.map((place) => shares[place] as (typeof a)[number]);
    return metricValue(drawn(b), rule) - metricValue(drawn(a), rule);
  };
  const differences = bootstrap(
    shared.map((_, place) => place),
    difference,
    { resamples, seed },
  );
  const tail = (1 - confidence) / 2;
  const isBinary = rule.kind === "mean" && [...a, ...b].every(({ value }) => value === 0 || value === 1);
  const onlyFirst = a.filter(({ value }, i) => value > (b[i]?.value ?? 0)).length;
  const onlySecond = b.filter(({ value }, i) => value > (a[i]?.value ?? 0)).length;
  return {
    metric: rule.name,
    items: shared.length,
    first: metricValue(a, rule),
    second: metricValue(b, rule),
    difference: metricValue(b, rule) - metricValue(a, rule),
    stderr: sampleDeviation(differences),
    interval: { confidence, low: quantile(differences, tail), high: quantile(differences, 1 - tail) },
    ...(isBinary && { mcnemar: { onlyFirst, onlySecond, p: mcnemar(onlyFirst, onlySecond) } }),
  };
}
