// How long a variant takes, learnt from what callers saw: sketches of the ratios between measured times and those that the plan's costs
// and the load foretell. Quantiles of a ratio make quantiles of a time.
import type { TimeAllowed } from "../scheduler/index.ts";
import { type Costs, type Pace, stepTime } from "./costs.ts";
import { type Aging, agingOf, known, learn, SHARED_FLOOR } from "./layers.ts";
import type { Lengths } from "./length.ts";
import { foretell, type Load } from "./load.ts";
import {
  add,
  type Distribution,
  distributionOf,
  emptySketch,
  multiplied,
  shareBelow,
  valueAt,
  weightOf,
} from "./sketch.ts";

/** TTFT: from sending to the first token. TPOT: mean time between tokens. Latency: from sending to the end. */
export const METRICS = ["ttft", "tpot", "latency"] as const;
export type Metric = (typeof METRICS)[number];
export type PerMetric<T> = Readonly<Record<Metric, T>>;

/**
 * What the cost model errs by depends on who else is there when a request comes, and on whether a more urgent one comes later and
 * overtakes it.
 */
export const COMPANIES = ["alone", "shared", "alone_overtaken", "shared_overtaken"] as const;
export type Company = (typeof COMPANIES)[number];
export const companyOf = (isAlone: boolean, isOvertaken: boolean): Company =>
  `${isAlone ? "alone" : "shared"}${isOvertaken ? "_overtaken" : ""}`;

/** The other companies, the likest first. */
const OTHERS: Readonly<Record<Company, readonly Company[]>> = {
  alone: ["shared", "alone_overtaken", "shared_overtaken"],
  shared: ["alone", "alone_overtaken", "shared_overtaken"],
  alone_overtaken: ["shared_overtaken", "alone", "shared"],
  shared_overtaken: ["alone_overtaken", "alone", "shared"],
};

/**
 * Sketches by `variant metric company`. The variant `*` stands for all of them, and `~` for how ratios lie around their own
 * variant's median. `=` is no ratio: how much of a prediction lay above what was measured then.
 */
export type LatencyState = Record<string, Aging>;
const ALL = "*";
const AROUND = "~";
const ABOVE = "=";
const keyOf = (variant: string, metric: Metric, company: Company): string => `${variant} ${metric} ${company}`;

/** Before anything was measured: as fast as the reference machine, give or take a quarter (log-normal, by its quantiles). */
const SEED = emptySketch();
for (const z of [-1.65, -1.04, -0.67, -0.39, -0.13, 0.13, 0.39, 0.67, 1.04, 1.65]) add(SEED, Math.exp(z / 4), 0.1);

/** Ratios of one finished request; those that it could not show are missing. */
export type Ratios = Partial<Record<Metric, number>>;

export function learnLatency(
  state: LatencyState,
  variant: string,
  companies: PerMetric<Company>,
  ratios: Ratios,
  now: number,
): void {
  for (const metric of METRICS) {
    const [ratio, company] = [ratios[metric], companies[metric]];
    if (ratio === undefined || !(ratio > 0) || !Number.isFinite(ratio)) continue;
    const around = ratio / factorsOf(state, variant, metric, company, now).p50;
    learn(agingOf(state, keyOf(variant, metric, company), now), ratio, now);
    learn(agingOf(state, keyOf(ALL, metric, company), now), ratio, now, SHARED_FLOOR);
    learn(agingOf(state, keyOf(AROUND, metric, company), now), around, now, SHARED_FLOOR, MOST_AROUND);
  }
}
/** Of all variants together, so many observations tell the shape. */
const MOST_AROUND = 1024;

/**
 * Notes where measured times lay in their predictions. Where a twentieth of them lies above the 0.98-quantile, that is what a
 * probability of 0.95 needs (recalibration: Kuleshov, Fenner and Ermon, ICML 2018).
 */
export function learnPlaces(state: LatencyState, alone: boolean, above: Partial<PerMetric<number>>, now: number): void {
  for (const metric of METRICS) {
    const share = above[metric];
    if (share === undefined) continue;
    learn(agingOf(state, keyOf(ABOVE, metric, companyOf(alone, false)), now), share, now, SHARED_FLOOR, MOST_PLACES);
  }
}
const MOST_PLACES = 512;

/** Before anything was measured, predictions are believed. */
const BELIEVED = emptySketch();
for (let i = 0; i < 400; i++) add(BELIEVED, (i + 0.5) / 400, 1 / 400);

/** The quantiles that are told; `high` is the one that a budget is to be kept with. */
export const LEVELS = ["p50", "p90", "p99", "high"] as const;
export type Level = (typeof LEVELS)[number];
export type PerLevel<T> = Readonly<Record<Level, T>>;

/** The share of outcomes at or below each level. */
export const sharesOf = (high: number): PerLevel<number> => ({ p50: 0.5, p90: 0.9, p99: 0.99, high });

/** What is known of the ratios. */
export interface Factors {
  readonly p50: number;
  readonly ratios: Distribution;
  /** Weight of the variant's own observations behind them. */
  readonly own: number;
}

/** What a state says of one variant, ready for many predictions. */
export type VariantProfile = Readonly<Record<Company, PerMetric<Factors>>>;
/** Where measured times lay in their predictions, of requests that were alone or not. */
type Places = Readonly<Record<"alone" | "shared", PerMetric<Distribution>>>;

export interface Profile {
  of(variant: string): VariantProfile;
  /** Of a variant that was never seen: the machine. */
  readonly machine: VariantProfile;
  readonly places: Places;
}

/** A variant's own median, with the shape that all variants' ratios have around theirs; or, of what is little known, the machine's ratios. */
function factorsOf(state: LatencyState, variant: string, metric: Metric, company: Company, now: number): Factors {
  const own = state[keyOf(variant, metric, company)];
  // Where little was seen in this company, what was seen in others: in the likest, of the variant before all.
  const others = OTHERS[company];
  const wider = [
    keyOf(variant, metric, others[0] as Company),
    ...[company, ...others].map((one) => keyOf(ALL, metric, one)),
  ];
  const all = wider.map((key) => state[key]);
  const { parts, own: weight, missing } = known(own, all, now);
  const around = state[keyOf(AROUND, metric, company)];
  if (!own || !around || weight === 0 || weightOf(around.sketch) < SHARED_FLOOR) {
    // A few requests tell how fast the machine is, but not how far its times scatter.
    const middle = valueAt(distributionOf([...parts, [SEED, 1]]), 0.5);
    const ratios = distributionOf([...parts, [multiplied(SEED, middle), missing]]);
    return { p50: valueAt(ratios, 0.5), ratios, own: weight };
  }
  const median = valueAt(distributionOf([[own.sketch, 1]]), 0.5);
  const shaped = multiplied(around.sketch, median);
  const ratios = distributionOf([[shaped, weight / weightOf(shaped)], ...parts.slice(1)]);
  return { p50: valueAt(ratios, 0.5), ratios, own: weight };
}

/** The next time may lie beyond all so far (conformal prediction: Vovk, Gammerman and Shafer, 2005, section 2.2). */
const BEYOND = emptySketch();
add(BEYOND, Number.MIN_VALUE);

function placesOf(seen: Aging | undefined, now: number): Distribution {
  const { parts, missing } = known(seen, [], now);
  return distributionOf([...parts, [BELIEVED, missing], [BEYOND, missing > 0 ? 0 : 1]]);
}

/** @param learntAs the name that what was seen of a variant is kept by */
export function profileOf(state: LatencyState, now: number, learntAs = (variant: string): string => variant): Profile {
  const profile = (variant: string): VariantProfile =>
    record(COMPANIES, (company) => record(METRICS, (metric) => factorsOf(state, variant, metric, company, now)));
  // Made when it is asked for: a gateway whose requests all name a variant needs only that one.
  const profiles = new Map<string, VariantProfile>();
  const of = (id: string): VariantProfile => {
    const variant = learntAs(id);
    const made = profiles.get(variant) ?? profile(variant);
    profiles.set(variant, made);
    return made;
  };
  return {
    of,
    get machine() {
      return of(ALL);
    },
    places: record(["alone", "shared"], (company) =>
      record(METRICS, (metric) => placesOf(state[keyOf(ABOVE, metric, company)], now)),
    ),
  };
}

/** A variant's pace where it has a replica to itself. */
export const paceOf = ({ alone }: VariantProfile): Pace => ({ prefill: alone.ttft.p50, decode: alone.tpot.p50 });

/** A request as far as its time depends on it. */
export interface Work {
  /** Prompt tokens that no cache holds. */
  readonly promptTokens: number;
  readonly tokens: Lengths;
  readonly maxTokens: number;
  /** What is left of its budget in time: it decides whose turn it is. */
  readonly allowed: TimeAllowed;
}

/** A time as a distribution: likely times with their shares, each of them times its ratios. */
interface Spread {
  readonly cases: readonly { readonly ms: number; readonly share: number; readonly ratios: Distribution }[];
  /** How much of such predictions lay above what was measured. */
  readonly above: Distribution;
}
export type Prediction = PerMetric<Spread>;

/** As the ratios have it. */
const rawChance = ({ cases }: Spread, limitMs: number): number =>
  cases.reduce((sum, { ms, share, ratios }) => sum + share * shareBelow(ratios, limitMs / ms), 0);

/** As experience with predictions has it. */
const inSpread = (spread: Spread, ms: number): number => 1 - shareBelow(spread.above, 1 - rawChance(spread, ms));

/** How much of a prediction lies above what was measured, of what could be. */
export const placesIn = (prediction: Prediction, measured: PerMetric<number | undefined>): Partial<PerMetric<number>> =>
  Object.fromEntries(
    METRICS.flatMap((metric) => {
      const ms = measured[metric];
      return ms === undefined ? [] : [[metric, 1 - rawChance(prediction[metric], ms)]];
    }),
  );

/** Doublings that are halved to find a quantile among several cases: to a thousandth. */
const HALVINGS = 16;

function quantileIn(spread: Spread, wanted: number): number {
  const share = 1 - valueAt(spread.above, 1 - wanted);
  const times = spread.cases.map(({ ms, ratios }) => ms * valueAt(ratios, share));
  let [low, high] = [Math.min(...times), Math.max(...times)];
  for (let i = 0; i < HALVINGS && high > low * 1.001; i++) {
    const middle = Math.sqrt(low * high);
    if (rawChance(spread, middle) >= share) high = middle;
    else low = middle;
  }
  return high;
}

/** Probability that it takes no longer than `ms`. An answer does not end before it has begun. */
export function chanceOf(prediction: Prediction, metric: Metric, ms: number): number {
  const chance = inSpread(prediction[metric], ms);
  return metric === "latency" ? Math.min(chance, inSpread(prediction.ttft, ms)) : chance;
}

/** The time that is kept with this probability. */
export function timeAt(prediction: Prediction, metric: Metric, share: number): number {
  const ms = quantileIn(prediction[metric], share);
  return metric === "latency" ? Math.max(ms, quantileIn(prediction.ttft, share)) : ms;
}

/** What a request is foretold to take on the reference machine: to the first token, and from there to the last. */
function foretold(costs: Costs, profile: VariantProfile, load: Load, work: Omit<Work, "tokens">, tokens: number) {
  const { promptTokens, maxTokens, allowed } = work;
  const pace = paceOf(profile);
  const told = foretell(load, { costs, pace, promptTokens, expectedTokens: tokens, maxTokens, allowed });
  return { first: told.firstMs / pace.prefill, rest: told.restMs / pace.decode };
}

/** Probability that a more urgent request comes within a time, of a request that is due after `leftMs`. */
export type Overtaking = (leftMs: number, withinMs: number) => number;

/** How soon a request is due, for its first token and for the rest; infinite where nothing hurries it. */
export const leftOf = ({
  latencyMs = Number.POSITIVE_INFINITY,
  ttftMs = latencyMs,
  tpotMs = latencyMs,
}: TimeAllowed) => ({
  first: Math.min(latencyMs, ttftMs),
  rest: Math.min(latencyMs, tpotMs),
});

/** What is known of one variant. */
export interface KnownOf {
  readonly of: VariantProfile;
  readonly places: Places;
}
export const knownOf = (profile: Profile, variant: string): KnownOf => ({
  of: profile.of(variant),
  places: profile.places,
});

/** What a request would take under a variant. */
export function predict(
  costs: Costs,
  { of: profile, places }: KnownOf,
  load: Load,
  work: Work,
  overtaking: Overtaking = () => 0,
): Prediction {
  const { p50, cases } = work.tokens;
  const { first, rest } = foretold(costs, profile, load, work, p50);
  const perToken = p50 > 1 ? rest / (p50 - 1) : stepTime(costs, work.promptTokens);
  const pace = paceOf(profile);
  const left = leftOf(work.allowed);
  const [firstMs, allMs] = [first * pace.prefill, first * pace.prefill + rest * pace.decode];
  // Time goes by until the other comes, and with it some of what is left.
  const before = overtaking(left.first - firstMs / 2, firstMs);
  const ever = Math.max(before, overtaking(left.rest - allMs / 2, allMs));
  const spread = (metric: Metric, chance: number, likely: Likely): Spread => ({
    above: places[load.alone ? "alone" : "shared"][metric],
    cases: [
      { share: 1 - chance, factors: profile[companyOf(load.alone, false)] },
      { share: chance, factors: profile[companyOf(load.alone, true)] },
    ].flatMap(({ share, factors }) =>
      share === 0
        ? []
        : likely(factors).map((one) => ({ ...one, share: share * one.share, ratios: factors[metric].ratios })),
    ),
  });
  return {
    ttft: spread("ttft", before, () => [{ ms: first, share: 1 }]),
    tpot: spread("tpot", ever, () => [{ ms: perToken, share: 1 }]),
    latency: spread("latency", ever, ({ ttft, tpot }) =>
      cases.map(({ tokens, share }) => ({ ms: first * ttft.p50 + (tokens - 1) * perToken * tpot.p50, share })),
    ),
  };
}

type Likely = (factors: PerMetric<Factors>) => readonly { readonly ms: number; readonly share: number }[];

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
  work: Omit<Work, "tokens">,
  companies: PerMetric<Company>,
  { ttftMs, latencyMs, tokens }: Measured,
): Ratios {
  if (tokens < 1) return {};
  const { first, rest } = foretold(costs, profile, load, work, tokens);
  const { ttft, tpot } = profile[companies.latency];
  return {
    ttft: ttftMs / first,
    ...(tokens > 1 ? { tpot: (latencyMs - ttftMs) / rest } : {}),
    latency: latencyMs / (first * ttft.p50 + rest * tpot.p50),
  };
}

export const record = <K extends string, V>(keys: readonly K[], value: (key: K) => V): Readonly<Record<K, V>> =>
  Object.fromEntries(keys.map((key) => [key, value(key)])) as Record<K, V>;
