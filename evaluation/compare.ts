// Compares two variants item by item: what is hard for one is hard for the other, so the paired
// difference is known far better than either score. By bootstrap, for any metric; the router, which
// compares all pairs of variants, has closed forms for its two measures (src/routing/quality.ts).
import { type ItemResult, type MetricRule, metricValue, sharesOf } from "./metrics.ts";
import { bootstrap, sampleDeviation } from "./statistics.ts";

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
}

/**
 * @throws Error when fewer than two items have results of both
 */
export function compare(
  first: ItemResults,
  second: ItemResults,
  rule: MetricRule,
  { resamples = 1000, seed = 1 } = {},
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
  return {
    metric: rule.name,
    items: shared.length,
    first: metricValue(a, rule),
    second: metricValue(b, rule),
    difference: metricValue(b, rule) - metricValue(a, rule),
    stderr: sampleDeviation(differences),
  };
}
