// Which variant answers: a pure function over a snapshot of what is known. Called again while an answer is under way, with what is left of
// the work and the budget, it says whether another variant should go on.
import { type Budget, LIMITS, type Limit } from "./budget.ts";
import type { Costs } from "./costs.ts";
import type { Crowding } from "./headroom.ts";
import { type Prediction, type Profile, predict, type Work } from "./latency.ts";
import type { Load } from "./load.ts";
import type { Measure, Quality, QualityBook } from "./quality.ts";

/** A variant that may answer. */
export interface Candidate {
  readonly variant: string;
  readonly costs: Costs;
  readonly status: "stable" | "experimental" | "research";
  /** Most tokens of prompt and reply together. */
  readonly capacity: number;
  readonly quarantined: boolean;
}

export interface Policy {
  /** Share of requests, of those that have a choice, that try another variant than the best. */
  readonly explore: number;
  /** Points of acc_norm by which such a variant may be worse than the best. */
  readonly exploreWithin: number;
  /** Points of acc_norm that a better answer is to bring for each other request that it is expected to keep from its budget. */
  readonly price: number;
  /** Points of acc_norm that a request without a limit in time may lose for the sake of those that have one. */
  readonly sacrifice: number;
  /** A better variant takes over from the one that served last only if it keeps below the budget by this share. */
  readonly margin: number;
}

export const POLICY: Policy = { explore: 0.02, exploreWithin: 2, price: 1000, sacrifice: 3, margin: 0.1 };

/** Of perplexity, so much of the logarithm counts as a point of acc_norm. */
const NATS_PER_POINT = 0.1;

export interface Question {
  /** Seeds the exploration: the same request gets the same answer. */
  readonly requestId: string;
  readonly work: Work;
  /** Tokens that prompt and reply must have room for. */
  readonly needed: number;
  readonly budget: Budget;
  /** Milliseconds of the budget's times that have gone by. */
  readonly elapsedMs: number;
  /** In the order in which they are listed, the base first. */
  readonly candidates: readonly Candidate[];
  readonly load: Load;
  readonly profile: Profile;
  readonly crowding: Crowding;
  readonly qualities: QualityBook;
  /** Serves whatever the budget says. */
  readonly pinned?: string | undefined;
  /** What variants are ranked by. Default: what the budget asks for. */
  readonly measure?: Measure | undefined;
  /** What served this caller's last request with the same budget. */
  readonly incumbent?: string | undefined;
  readonly policy?: Policy;
}

/** Why a variant was chosen. */
export type Rule =
  | "pinned"
  | "experiment"
  | "best"
  | "tied_cheaper"
  | "headroom"
  | "fastest"
  | "cheapest"
  | "explore"
  | "unscored"
  | "nearest";

/** Why a variant was not: the limit that it would break, or one of these. */
export type Lost =
  | Limit
  | "quarantined"
  | "capacity"
  | "unscored"
  | "research"
  | "margin"
  | "headroom"
  | "lower_quality"
  | "tied_dearer"
  | "slower"
  | "dearer"
  | "not_explored"
  | "further_off"
  | "not_asked_for";

export interface Verdict {
  readonly variant: string;
  /** Undefined for a variant that could not serve. */
  readonly prediction: Prediction | undefined;
  readonly quality: Quality | undefined;
  /** Undefined for the one that was chosen. */
  lost: Lost | undefined;
}

export interface Decision {
  readonly variant: string;
  readonly rule: Rule;
  /** Limits that the chosen variant is predicted to break. */
  readonly breaks: readonly Limit[];
  readonly chosen: Verdict;
  /** Milliseconds that the request can spare under the fastest variant; undefined without a limit in time. */
  readonly slackMs: number | undefined;
  readonly verdicts: readonly Verdict[];
}

interface Entry {
  readonly candidate: Candidate;
  readonly verdict: Verdict;
  readonly prediction: Prediction;
  /** For each limit: predicted over allowed; above 1 breaks it. */
  readonly strain: Readonly<Partial<Record<Limit, number>>>;
  /** The worst of them. */
  readonly worst: number;
  readonly bound: number | undefined;
  /** Milliseconds that the request can spare under this variant; infinite without a limit in time. */
  readonly slackMs: number;
  /** What ranks it: the bound, less what it costs those who come after. */
  readonly worth: number;
  /** Reference milliseconds that the request would keep a replica busy. */
  readonly cost: number;
}

/** @returns undefined when no variant has room for the request, or all that have are quarantined */
export function decide(question: Question): Decision | undefined {
  const { budget, pinned, policy = POLICY } = question;
  const asked: Measure =
    budget.maxPerplexity !== undefined && budget.minHellaswag === undefined ? "perplexity" : "hellaswag";
  const { measure = asked } = question;
  const verdicts: Verdict[] = [];
  const entries: Entry[] = [];
  for (const candidate of question.candidates) {
    const entry = assess(question, candidate, measure, verdicts);
    if (entry) entries.push(entry);
  }
  const conclude = (winner: Entry, rule: Rule): Decision => {
    winner.verdict.lost = undefined;
    const breaks = LIMIT_NAMES.filter((limit) => (winner.strain[limit] ?? 0) > 1);
    const slack = entries.reduce((most, entry) => Math.max(most, entry.slackMs), Number.NEGATIVE_INFINITY);
    const slackMs = Number.isFinite(slack) ? slack : undefined;
    return { variant: winner.candidate.variant, rule, breaks, chosen: winner.verdict, slackMs, verdicts };
  };

  if (pinned !== undefined) {
    const entry = entries.find(({ candidate }) => candidate.variant === pinned);
    return entry && conclude(entry, "pinned");
  }
  if (entries.length === 0) return undefined;

  const lose = (losers: readonly Entry[], winner: Entry | undefined, lost: Lost): void => {
    for (const entry of losers) if (entry !== winner) entry.verdict.lost ??= lost;
  };
  /** Goes on with those that are left, unless none is. */
  const narrow = (from: Entry[], keep: (entry: Entry) => boolean, lost: Lost): Entry[] => {
    const kept = from.filter(keep);
    if (kept.length === 0 || kept.length === from.length) return from;
    lose(
      from.filter((entry) => !keep(entry)),
      undefined,
      lost,
    );
    return kept;
  };

  let fitting = entries.filter((entry) => entry.worst <= 1);
  for (const entry of entries) if (entry.worst > 1) entry.verdict.lost = worstLimit(entry);
  if (fitting.length === 0) {
    // What the answer is for decides first: time is lost by degrees, a broken text is of no use.
    const pools = [
      entries.filter(({ strain }) => QUALITY_LIMITS.every((limit) => (strain[limit] ?? 0) <= 1)),
      entries.filter(({ strain }) => TIME_LIMITS.every((limit) => (strain[limit] ?? 0) <= 1)),
      entries,
    ].flatMap((pool) => [pool.filter(({ bound }) => bound !== undefined), pool]);
    const nearest = least(pools.find(({ length }) => length > 0) as Entry[], ({ worst }) => worst);
    lose(entries, nearest, "further_off");
    return conclude(nearest, "nearest");
  }

  fitting = narrow(fitting, (entry) => entry.bound !== undefined, "unscored");
  if (fitting[0]?.bound === undefined) {
    // Nothing measured: what is meant for use before what is not, then what computes most.
    const best = least(fitting, ({ candidate, cost }) => STATUS_RANK[candidate.status] * 1e9 - cost);
    lose(fitting, best, "unscored");
    return conclude(best, "unscored");
  }

  const asksForQuality = budget.minHellaswag !== undefined || budget.maxPerplexity !== undefined;
  if (budget.prefer !== "quality") {
    if (!asksForQuality) fitting = narrow(fitting, ({ candidate }) => candidate.status !== "research", "research");
    const speed = budget.prefer === "speed";
    const winner = least(fitting, speed ? ({ prediction }) => prediction.latency.high : ({ cost }) => cost);
    lose(fitting, winner, speed ? "slower" : "dearer");
    return conclude(winner, speed ? "fastest" : "cheapest");
  }

  const last = fitting.find(({ candidate }) => candidate.variant === question.incumbent);
  if (last) {
    const roomy = ({ bound, worst }: Entry): boolean =>
      boundOf(bound) <= boundOf(last.bound) || worst <= 1 / (1 + policy.margin);
    fitting = narrow(fitting, roomy, "margin");
  }
  const highest = least(fitting, ({ bound }) => -boundOf(bound));
  const isTimed = TIME_LIMITS.some((limit) => budget[LIMITS[limit]] !== undefined);
  const decent = isTimed
    ? fitting
    : fitting.filter(({ bound }) => boundOf(highest.bound) - boundOf(bound) <= policy.sacrifice * unitOf(measure));
  const best = least(decent, ({ worth }) => -worth);
  const tied = fitting.filter((entry) => entry === best || isTied(question.qualities, best, entry, measure));
  const winner = least(tied, ({ cost }) => cost);
  const near = fitting.filter(({ worth }) => best.worth - worth <= policy.exploreWithin * unitOf(measure));
  if (near.length > 1 && draw(question.requestId, "whether") < policy.explore) {
    const explored = near[Math.floor(draw(question.requestId, "which") * near.length)] as Entry;
    lose(fitting, explored, "not_explored");
    return conclude(explored, "explore");
  }
  lose(tied, winner, "tied_dearer");
  const better = fitting.filter(({ bound }) => boundOf(bound) > boundOf(best.bound));
  lose(better, winner, "headroom");
  lose(fitting, winner, "lower_quality");
  if (better.length > 0) return conclude(winner, "headroom");
  return conclude(winner, winner === best ? "best" : "tied_cheaper");
}

const LIMIT_NAMES = Object.keys(LIMITS) as Limit[];
const QUALITY_LIMITS: readonly Limit[] = ["min_hellaswag", "max_perplexity"];
const TIME_LIMITS: readonly Limit[] = ["latency_ms", "ttft_ms", "tpot_ms"];
const STATUS_RANK = { stable: 0, experimental: 1, research: 2 } as const;

/** Scored entries only come here. */
const boundOf = (bound: number | undefined): number => bound ?? Number.NEGATIVE_INFINITY;

/** A point of acc_norm in the units of a measure's bound. */
const unitOf = (measure: Measure): number => (measure === "hellaswag" ? 1 : NATS_PER_POINT);

/** Adds the candidate's verdict to `verdicts`; undefined when it cannot serve. Runs once a candidate: no closures are made here. */
function assess(question: Question, candidate: Candidate, measure: Measure, verdicts: Verdict[]): Entry | undefined {
  const { work, budget, elapsedMs, load, profile, qualities, pinned, policy = POLICY } = question;
  const { variant, costs } = candidate;
  const quality = qualities.of(variant);
  if (pinned === undefined && (candidate.quarantined || question.needed > candidate.capacity)) {
    verdicts.push({
      variant,
      prediction: undefined,
      quality,
      lost: candidate.quarantined ? "quarantined" : "capacity",
    });
    return undefined;
  }
  const learnt = profile.of(variant);
  const prediction = predict(costs, learnt, load, work);
  const strain: Partial<Record<Limit, number>> = {};
  let slackMs = Number.POSITIVE_INFINITY;
  if (budget.latencyMs !== undefined) {
    const left = budget.latencyMs - elapsedMs;
    strain.latency_ms = over(prediction.latency.high, left);
    slackMs = Math.min(slackMs, left - prediction.latency.high);
  }
  if (budget.ttftMs !== undefined) {
    const left = budget.ttftMs - elapsedMs;
    strain.ttft_ms = over(prediction.ttft.high, left);
    slackMs = Math.min(slackMs, left - prediction.ttft.high);
  }
  if (budget.tpotMs !== undefined) {
    strain.tpot_ms = over(prediction.tpot.high, budget.tpotMs);
    slackMs = Math.min(slackMs, (budget.tpotMs - prediction.tpot.high) * work.tokens.p50);
  }
  // What was not measured does not meet a wish for quality.
  if (budget.minHellaswag !== undefined) strain.min_hellaswag = over(budget.minHellaswag, quality?.accNorm ?? 0);
  if (budget.maxPerplexity !== undefined) {
    strain.max_perplexity = over(quality?.wordPerplexity ?? Number.POSITIVE_INFINITY, budget.maxPerplexity);
  }
  let worst = 0;
  for (const limit of LIMIT_NAMES) worst = Math.max(worst, strain[limit] ?? 0);
  const verdict: Verdict = { variant, prediction, quality, lost: pinned === undefined ? undefined : "not_asked_for" };
  verdicts.push(verdict);
  const prefill = work.promptTokens * costs.prefillMs;
  const decode = work.tokens.p50 * costs.decodeMs;
  const crowded = question.crowding(prefill * learnt.alone.ttft.p50 + decode * learnt.alone.tpot.p50);
  const bound = quality?.bound[measure];
  const worth = boundOf(bound) - policy.price * unitOf(measure) * crowded;
  return { candidate, verdict, prediction, strain, worst, bound, worth, slackMs, cost: prefill + decode };
}

/** A limit of nothing is broken all the more, the more is needed. */
const over = (value: number, allowed: number): number => value / Math.max(allowed, 1e-3);

/** The limit that is broken most. */
const worstLimit = ({ strain, worst }: Entry): Limit => LIMIT_NAMES.find((limit) => strain[limit] === worst) as Limit;

/**
 * Whether two variants cannot be told apart: their paired difference is within its own standard error (the one-standard-error rule of
 * Breiman, Friedman, Olshen and Stone, Classification and Regression Trees, 1984, section 3.4.3).
 */
function isTied(qualities: QualityBook, best: Entry, entry: Entry, measure: Measure): boolean {
  const paired = qualities.compare(best.candidate.variant, entry.candidate.variant, measure);
  return paired !== undefined && Math.abs(paired.difference) <= paired.se;
}

/** The first of the least. */
function least(entries: readonly Entry[], value: (entry: Entry) => number): Entry {
  return entries.reduce((a, b) => (value(b) < value(a) ? b : a));
}

/** A number in [0, 1) that depends on the request alone (FNV-1a with MurmurHash3's finalizer). */
function draw(requestId: string, purpose: string): number {
  let hash = 0x811c9dc5;
  for (const unit of `${purpose} ${requestId}`) hash = Math.imul(hash ^ (unit.codePointAt(0) as number), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
