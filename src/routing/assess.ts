// What is to be said of a candidate before any is compared with another: what it is predicted to take, how near that comes to each limit of
// the budget, and what it is worth.
import { LIMITS, type Limit } from "./budget.ts";
import { type Prediction, predict } from "./latency.ts";
import type { Measure, Quality } from "./quality.ts";
import { type Candidate, POLICY, type Question } from "./question.ts";

/** Of perplexity, so much of the logarithm counts as a point of acc_norm. */
const NATS_PER_POINT = 0.1;

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

/** A candidate that could serve. */
export interface Entry {
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

export const LIMIT_NAMES = Object.keys(LIMITS) as Limit[];

/** Scored entries only come here. */
export const boundOf = (bound: number | undefined): number => bound ?? Number.NEGATIVE_INFINITY;

/** A point of acc_norm in the units of a measure's bound. */
export const unitOf = (measure: Measure): number => (measure === "hellaswag" ? 1 : NATS_PER_POINT);

/** Adds the candidate's verdict to `verdicts`; undefined when it cannot serve. Runs once a candidate: no closures are made here. */
export function assess(
  question: Question,
  candidate: Candidate,
  measure: Measure,
  verdicts: Verdict[],
): Entry | undefined {
  const { work, budget, elapsedMs, load, profile, qualities, pinned, policy = POLICY } = question;
  const { variant, costs } = candidate;
  const quality = qualities.of(variant);
  const barred = pinned === undefined ? barredBy(question, candidate) : undefined;
  if (barred !== undefined) {
    verdicts.push({ variant, prediction: undefined, quality, lost: barred });
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

/** Why a variant must not answer, whatever else there is; undefined when it may. */
function barredBy({ budget, needed }: Question, candidate: Candidate): Lost | undefined {
  if (candidate.quarantined) return "quarantined";
  if (candidate.status === "research" && !budget.allowResearch) return "research";
  return needed > candidate.capacity ? "capacity" : undefined;
}

/** A limit of nothing is broken all the more, the more is needed. */
const over = (value: number, allowed: number): number => value / Math.max(allowed, 1e-3);
