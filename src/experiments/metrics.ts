// What an experiment may measure, one line each: which way is better, between which bounds, and what it is compared with.

interface MetricKind {
  readonly title: string;
  /** Which way is better. Undefined: shown, never judged. */
  readonly better?: "higher" | "lower";
  /**
   * Bounds of one value; beyond them it is clipped. Means can be judged because of them: an unbounded mean may hang on a value that
   * has not come yet.
   */
  readonly range?: readonly [number, number];
  /** Differences are of natural logarithms: 0.1 is about 10 %. The range is in the metric's own unit. */
  readonly isLog?: true;
  /** What the control has by definition: a metric of the treatment against the control's own answers. */
  readonly controlIs?: number;
  readonly unit: string;
}

export const METRICS = {
  rating: { title: "rating", better: "higher", range: [-1, 1], unit: "rating" },
  agreement: {
    title: "top-1 agreement with the control",
    better: "higher",
    range: [0, 1],
    controlIs: 1,
    unit: "share of tokens",
  },
  error: { title: "share of failed requests", better: "lower", range: [0, 1], unit: "share of requests" },
  latency: { title: "latency", better: "lower", range: [100, 60_000], isLog: true, unit: "ms" },
  ttft: { title: "time to first token", better: "lower", range: [10, 60_000], isLog: true, unit: "ms" },
  tpot: { title: "time per output token", better: "lower", range: [1, 1000], isLog: true, unit: "ms" },
  length: { title: "tokens of the answer", better: "lower", range: [1, 4096], isLog: true, unit: "tokens" },
  kl: { title: "KL divergence from the control", controlIs: 0, unit: "nats per token" },
  perplexity: { title: "perplexity of the control's answers", unit: "perplexity" },
} satisfies Record<string, MetricKind>;
export type MetricName = keyof typeof METRICS;
export const METRIC_NAMES = Object.keys(METRICS) as [MetricName, ...MetricName[]];

export const metricKind = (name: MetricName): MetricKind => METRICS[name];

/** Turns values into what the tests take, where more is better, and their results back. */
export interface Scale {
  /** Higher is better; in [0, 1] where the metric is bounded. */
  toGoodness(value: number): number;
  /** A mean or quantile of goodness in the metric's unit. */
  toValue(goodness: number): number;
  /** By this a difference of goodness becomes one in the metric's unit, or of its logarithms: treatment minus control, positive is better. */
  readonly width: number;
  /** Whether more of the metric is more goodness. */
  readonly isHigherBetter: boolean;
}

export interface ScaleOptions {
  readonly metric: MetricName;
  /** Overrides which way is better. */
  readonly better?: "higher" | "lower" | undefined;
  /** Overrides the bounds, for metrics on a logarithmic scale. */
  readonly range?: readonly [number, number] | undefined;
}

export function scaleOf({ metric, better, range: ownRange }: ScaleOptions): Scale {
  const kind = metricKind(metric);
  const range = ownRange ?? kind.range;
  const forth = kind.isLog ? Math.log : (x: number) => x;
  const back = kind.isLog ? Math.exp : (x: number) => x;
  const [low, high] = range ? [forth(range[0]), forth(range[1])] : [0, 1];
  const width = high - low;
  const isHigherBetter = (better ?? kind.better ?? "higher") === "higher";
  return {
    width,
    isHigherBetter,
    toGoodness(value) {
      const place = (forth(value) - low) / width;
      const clipped = range ? Math.min(Math.max(place, 0), 1) : place;
      return isHigherBetter ? clipped : 1 - clipped;
    },
    toValue: (goodness) => back(low + (isHigherBetter ? goodness : 1 - goodness) * width),
  };
}
