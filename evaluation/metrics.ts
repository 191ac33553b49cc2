// What item results become: metrics with standard errors. Which numbers of an item a metric is made of is data, so that aggregation,
// bootstrap and paired comparison are the same code for every task.
import { bootstrap, sampleDeviation } from "./statistics.ts";

/** One item's outcome: the numbers that its task's metrics name, and what a reader wants to see beside them. */
export type ItemResult = Readonly<Record<string, number | string | readonly number[]>>;

/**
 * A metric over items: `mean` of one number; `ratio` sum / sum of two; or, of log-likelihoods (natural logarithm) over a count of tokens,
 * words or bytes, `perplexity` exp(-sum / sum) or `bits` -sum / sum / ln 2.
 */
export type MetricRule = {
  readonly name: string;
  readonly higherIsBetter: boolean;
} & (
  | { readonly kind: "mean"; readonly of: string }
  | { readonly kind: "ratio" | "perplexity" | "bits"; readonly of: string; readonly over: string }
);

export interface Metric {
  readonly value: number;
  /** Standard error: of a mean from the sample, of the others by bootstrap of items. Absent with fewer than two items. */
  readonly stderr?: number;
}

/** By name. */
export type Metrics = Readonly<Record<string, Metric>>;

/** An item's part of a metric: the metric is a function of the sum of values over the sum of weights. */
export interface Share {
  readonly value: number;
  readonly weight: number;
}

/** @throws Error when a result lacks a number that the metric is made of */
export function sharesOf(results: readonly ItemResult[], rule: MetricRule): Share[] {
  const number = (result: ItemResult, field: string): number => {
    const value = result[field];
    if (typeof value !== "number") throw new Error(`an item's result lacks the number ${field} for ${rule.name}`);
    return value;
  };
  return results.map((result) => ({
    value: number(result, rule.of),
    weight: rule.kind === "mean" ? 1 : number(result, rule.over),
  }));
}

const FINISH: Record<MetricRule["kind"], (ratio: number) => number> = {
  mean: (ratio) => ratio,
  ratio: (ratio) => ratio,
  perplexity: (ratio) => Math.exp(-ratio),
  bits: (ratio) => -ratio / Math.LN2,
};

/** A metric's value over items; NaN without any. */
export function metricValue(shares: readonly Share[], rule: MetricRule): number {
  let value = 0;
  let weight = 0;
  for (const share of shares) {
    value += share.value;
    weight += share.weight;
  }
  return FINISH[rule.kind](value / weight);
}

/** @returns one entry per rule; the same results give the same numbers, the bootstrap's too */
export function aggregate(results: readonly ItemResult[], rules: readonly MetricRule[]): Metrics {
  return Object.fromEntries(rules.map((rule) => [rule.name, metricOf(sharesOf(results, rule), rule)]));
}

function metricOf(shares: readonly Share[], rule: MetricRule): Metric {
  const value = metricValue(shares, rule);
  if (shares.length < 2) return { value };
  if (rule.kind === "mean") {
    return { value, stderr: sampleDeviation(shares.map((share) => share.value)) / Math.sqrt(shares.length) };
  }
  return { value, stderr: sampleDeviation(bootstrap(shares, (drawn) => metricValue(drawn, rule))) };
}
