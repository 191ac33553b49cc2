// What is to be said of a candidate before any is compared with another: what it is predicted to take, whether it will
// be in time, and what its answer is worth.
import { isTimed, LIMITS, type Limit } from "./budget.ts";
import { chanceOf, knownOf, type Metric, type Prediction, paceOf, predict, timeAt, type Work } from "./latency.ts";
import type { Asked, Foretold } from "./load.ts";
import { takenBy } from "./others.ts";
import { type Measure, type Quality, worthOf } from "./quality.ts";
import { type Candidate, POLICY, type Question } from "./question.ts";

/** Why a variant was not: the limit that it would break, or one of these. */
export type Lost =
  | Limit
  | "quarantined"
  | "capacity"
  | "unscored"
  | "research"
  | "less_useful"
  | "less_sure"
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
  /** What an answer in time is worth, 0 to 1 (the base). Undefined where nothing is recorded. */
  readonly worth: number | undefined;
  /** Probability of keeping all limits in time; undefined for a variant that could not serve. */
  readonly inTime: number | undefined;
  /** Probability times worth, less what the answer is expected to cost others. */
  readonly usefulness: number | undefined;
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
  readonly worth: number | undefined;
  readonly inTime: number;
  /** 0 for what has no recorded score. */
  readonly usefulness: number;
  /** Milliseconds that the request will probably spare under this variant; infinite without a limit in time. */
  readonly slackMs: number;
  /** Reference milliseconds that the request would keep a replica busy. */
  readonly cost: number;
}

export const LIMIT_NAMES = Object.keys(LIMITS) as Limit[];
const TIMES = { latency_ms: "latency", ttft_ms: "ttft", tpot_ms: "tpot" } as const satisfies Partial<
  Record<Limit, Metric>
>;
export const TIME_LIMITS = Object.keys(TIMES) as (keyof typeof TIMES)[];

/** More likely kept than not: what a prediction is held against where a budget is no promise. */
const LIKELY = 0.5;

/** The probability with which a budget is to be kept where it is a promise: one that is strict, or names it. */
export const promiseOf = ({ budget, quantile }: Pick<Question, "budget" | "quantile">): number | undefined =>
  budget.quantile ?? (budget.strict ? quantile : undefined);

/** Adds the candidate's verdict to `verdicts`; undefined when it cannot serve. */
export function assess(
  question: Question,
  candidate: Candidate,
  measure: Measure | undefined,
  before: readonly Foretold[],
  verdicts: Verdict[],
): Entry | undefined {
  const { work, budget, load, profile, qualities, pinned, policy = POLICY } = question;
  const { variant, costs } = candidate;
  const quality = qualities.of(variant);
  const barred = pinned === undefined ? barredBy(question, candidate) : undefined;
  if (barred !== undefined) {
    const unknown = { prediction: undefined, inTime: undefined, usefulness: undefined };
    verdicts.push({ variant, ...unknown, quality, worth: worthOf(quality, measure), lost: barred });
    return undefined;
  }
  const learnt = profile.of(variant);
  const prediction = predict(costs, knownOf(profile, variant), load, work, question.overtaking);
  const times = timesOf(question, prediction);
  const strain: Partial<Record<Limit, number>> = { ...times.strain };
  // What was not measured does not meet a wish for quality.
  if (budget.minHellaswag !== undefined) strain.min_hellaswag = over(budget.minHellaswag, quality?.accNorm ?? 0);
  if (budget.maxPerplexity !== undefined) {
    strain.max_perplexity = over(quality?.wordPerplexity ?? Number.POSITIVE_INFINITY, budget.maxPerplexity);
  }
  const prefill = work.promptTokens * costs.prefillMs;
  const decode = work.tokens.p50 * costs.decodeMs;
  const pace = paceOf(learnt);
  const around = profile.machine.shared.latency.ratios;
  const { inTime, slackMs } = times;
  const crowded = isTimed(budget) ? question.crowding(prefill * pace.prefill + decode * pace.decode) : 0;
  const taken = isTimed(budget) ? takenBy(load, before, { costs, pace, ...askedOf(work) }, around) : 0;
  const worth = worthOf(quality, measure);
  const usefulness = inTime * (worth ?? 0) - policy.others * crowded - taken;
  const lost = pinned === undefined ? undefined : "not_asked_for";
  const verdict: Verdict = { variant, prediction, quality, worth, inTime, usefulness, lost };
  verdicts.push(verdict);
  const worst = Math.max(0, ...Object.values(strain));
  return {
    candidate,
    verdict,
    prediction,
    strain,
    worst,
    worth,
    inTime,
    usefulness,
    slackMs,
    cost: prefill + decode,
  };
}

const askedOf = ({ promptTokens, tokens, maxTokens, allowed }: Work): Omit<Asked, "costs" | "pace"> => ({
  promptTokens,
  expectedTokens: tokens.p50,
  maxTokens,
  allowed,
});

/** How the limits in time fare: the chance that all are kept is that of the tightest, since they are late together. */
function timesOf(question: Question, prediction: Prediction) {
  const { budget, work, elapsedMs } = question;
  const share = promiseOf(question) ?? LIKELY;
  const strain: Partial<Record<Limit, number>> = {};
  let [inTime, slackMs] = [1, Number.POSITIVE_INFINITY];
  for (const limit of TIME_LIMITS) {
    const allowed = budget[LIMITS[limit]];
    if (allowed === undefined) continue;
    const metric = TIMES[limit];
    const left = limit === "tpot_ms" ? allowed : allowed - elapsedMs;
    strain[limit] = over(timeAt(prediction, metric, share), left);
    inTime = Math.min(inTime, chanceOf(prediction, metric, left));
    const spare = left - timeAt(prediction, metric, LIKELY);
    slackMs = Math.min(slackMs, limit === "tpot_ms" ? spare * work.tokens.p50 : spare);
  }
  return { strain, inTime, slackMs };
}

/** Why a variant must not answer, whatever else there is; undefined when it may. */
function barredBy({ budget, needed }: Question, candidate: Candidate): Lost | undefined {
  if (candidate.quarantined) return "quarantined";
  if (candidate.status === "research" && !budget.allowResearch) return "research";
  return needed > candidate.capacity ? "capacity" : undefined;
}

/** A limit of nothing is broken all the more, the more is needed. */
const over = (value: number, allowed: number): number => value / Math.max(allowed, 1e-3);
