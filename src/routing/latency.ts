// How long a variant takes, learnt from what callers saw: sketches of the ratios between measured times and those that the plan's costs
// and the load foretell. Quantiles of a ratio make quantiles of a time.
import { type Costs, prefillTime, stepTime } from "./costs.ts";
import { type Aging, agingOf, known, learn, SHARED_FLOOR } from "./layers.ts";
import { type Load, othersAfter, othersBefore, roundsFor } from "./load.ts";
import { add, emptySketch, quantilesOf } from "./sketch.ts";

/** TTFT: from sending to the first token. TPOT: mean time between tokens. Latency: from sending to the end. */
export const METRICS = ["ttft", "tpot", "latency"] as const;
export type Metric = (typeof METRICS)[number];
export type PerMetric<T> = Readonly<Record<Metric, T>>;

/** Whether a request shares its replica with others from the start: the cost model errs in another way then. */
type Company = "alone" | "shared";
const COMPANIES: readonly Company[] = ["alone", "shared"];

/** Sketches by `variant metric company`; the variant `*` stands for all of them. */
export type LatencyState = Record<string, Aging>;
const ALL = "*";
const keyOf = (variant: string, metric: Metric, company: Company): string => `${variant} ${metric} ${company}`;

/** Before anything was measured: as fast as the reference machine, give or take a quarter (log-normal, by its quantiles). */
const SEED = emptySketch();
for (const z of [-1.65, -1.04, -0.67, -0.39, -0.13, 0.13, 0.39, 0.67, 1.04, 1.65]) add(SEED, Math.exp(z / 4), 0.1);

/** Ratios of one finished request; those that it could not show are missing. */
export type Ratios = Partial<Record<Metric, number>>;

export function learnLatency(state: LatencyState, variant: string, alone: boolean, ratios: Ratios, now: number): void {
  const company = alone ? "alone" : "shared";
  for (const metric of METRICS) {
    const ratio = ratios[metric];
    if (ratio === undefined || !(ratio > 0) || !Number.isFinite(ratio)) continue;
    learn(agingOf(state, keyOf(variant, metric, company), now), ratio, now);
    learn(agingOf(state, keyOf(ALL, metric, company), now), ratio, now, SHARED_FLOOR);
  }
}

/** The quantiles that are predicted; `high` is the one that budgets are held against. */
export const LEVELS = ["p50", "p90", "p99", "high"] as const;
export type Level = (typeof LEVELS)[number];
export type PerLevel<T> = Readonly<Record<Level, T>>;

/** The share of outcomes at or below each level. */
export const sharesOf = (high: number): PerLevel<number> => ({ p50: 0.5, p90: 0.9, p99: 0.99, high });

/** Quantiles of the ratios. */
export interface Factors extends PerLevel<number> {
  /** Weight of the variant's own observations behind them. */
  readonly own: number;
}

/** What a state says of one variant, ready for many predictions. */
export type VariantProfile = Readonly<Record<Company, PerMetric<Factors>>>;

export interface Profile {
  of(variant: string): VariantProfile;
  /** Of a variant that was never seen: the machine. */
  readonly machine: VariantProfile;
}

/** @param high the quantile that budgets are held against, as 0.95 */
export function profileOf(state: LatencyState, high: number, now: number): Profile {
  const shares = sharesOf(high);
  const factors = (variant: string, metric: Metric, company: Company): Factors => {
    const { parts, own } = known(
      state[keyOf(variant, metric, company)],
      state[keyOf(ALL, metric, company)] ?? state[keyOf(ALL, metric, company === "alone" ? "shared" : "alone")],
      SEED,
      now,
    );
    const [p50, p90, p99, above] = quantilesOf(parts, [shares.p50, shares.p90, shares.p99, shares.high]) as [
      number,
      number,
      number,
      number,
    ];
    return { p50, p90, p99, high: above, own };
  };
  const profile = (variant: string): VariantProfile =>
    record(COMPANIES, (company) => record(METRICS, (metric) => factors(variant, metric, company)));
  // Made when it is asked for: a gateway whose requests all name a variant needs only that one.
  const profiles = new Map<string, VariantProfile>();
  const of = (variant: string): VariantProfile => {
    const made = profiles.get(variant) ?? profile(variant);
    profiles.set(variant, made);
    return made;
  };
  return {
    of,
    get machine() {
      return of(ALL);
    },
  };
}

/** A request as far as its time depends on it. */
export interface Work {
  /** Prompt tokens that no cache holds. */
  readonly promptTokens: number;
  /** Tokens of the reply: how many it hardly has more than, at each level. */
  readonly tokens: PerLevel<number>;
}

/** Milliseconds: the median, and the quantile at the level that was asked for. */
export interface Span {
  readonly p50: number;
  readonly high: number;
}
export type Prediction = PerMetric<Span>;

/** Reference milliseconds until the first token. */
export function ttftCost(costs: Costs, promptTokens: number, load: Load): number {
  const rounds = load.aheadRounds + roundsFor(promptTokens);
  return load.waitMs + load.aheadMs + prefillTime(costs, promptTokens) + othersBefore(load, rounds);
}

/** Reference milliseconds from the first token to the last. */
export function decodeCost(costs: Costs, promptTokens: number, tokens: number, load: Load): number {
  const steps = Math.max(0, tokens - 1);
  const done = load.aheadRounds + roundsFor(promptTokens);
  return steps * stepTime(costs, promptTokens + tokens / 2) + load.betweenMs + othersAfter(load, steps, done);
}

/**
 * What a request would take under a variant. The latency's quantile combines two causes that have nothing to do with each other, the
 * reply's length and the machine: the spreads of their logarithms add up as squares.
 */
export function predict(
  costs: Costs,
  profile: VariantProfile,
  load: Load,
  { promptTokens, tokens }: Work,
  level: Level = "high",
): Prediction {
  const { ttft, tpot, latency } = profile[load.alone ? "alone" : "shared"];
  const first = ttftCost(costs, promptTokens, load);
  const decode = decodeCost(costs, promptTokens, tokens.p50, load);
  const perToken = tokens.p50 > 1 ? decode / (tokens.p50 - 1) : 0;
  const likely = first * ttft.p50 + decode * tpot.p50;
  const long = first * ttft.p50 + decodeCost(costs, promptTokens, tokens[level], load) * tpot.p50;
  const spread = Math.hypot(Math.log(long / likely), Math.log(latency[level] / latency.p50));
  return {
    ttft: { p50: first * ttft.p50, high: first * ttft[level] },
    tpot: { p50: perToken * tpot.p50, high: perToken * tpot[level] },
    latency: { p50: likely * latency.p50, high: likely * latency.p50 * Math.exp(spread) },
  };
}

/** Milliseconds as the caller saw them. */
export interface Measured {
  readonly ttftMs: number;
  readonly latencyMs: number;
  /** Tokens generated. */
  readonly tokens: number;
}

/** What a finished request teaches, held against what its costs, its load and its actual length foretold. */
export function ratiosOf(
  costs: Costs,
  profile: VariantProfile,
  load: Load,
  promptTokens: number,
  { ttftMs, latencyMs, tokens }: Measured,
): Ratios {
  if (tokens < 1) return {};
  const { ttft, tpot } = profile[load.alone ? "alone" : "shared"];
  const first = ttftCost(costs, promptTokens, load);
  const decode = decodeCost(costs, promptTokens, tokens, load);
  return {
    ttft: ttftMs / first,
    ...(tokens > 1 ? { tpot: (latencyMs - ttftMs) / decode } : {}),
    latency: latencyMs / (first * ttft.p50 + decode * tpot.p50),
  };
}

export const record = <K extends string, V>(keys: readonly K[], value: (key: K) => V): Readonly<Record<K, V>> =>
  Object.fromEntries(keys.map((key) => [key, value(key)])) as Record<K, V>;
