// The record of a decision, in its wire form: who could have answered, what was foretold of each, and how it came out. Numbers only; no
// part of a prompt or an answer ever gets in.

import type { Lost } from "./assess.ts";
import type { Budget, Limit, Preference } from "./budget.ts";
import { LIMITS } from "./budget.ts";
import type { Decision, Rule } from "./decide.ts";
import { METRICS, type PerLevel, type PerMetric, record, timeAt, type Work } from "./latency.ts";

interface Levels {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  /** At `quantile`. */
  readonly budgeted: number;
}

export interface DecisionRecord {
  readonly id: string;
  readonly object: "routing.decision";
  /** Unix seconds. */
  readonly created: number;
  readonly request_id: string;
  /** As the request had it. */
  readonly model: string;
  readonly variant: string;
  readonly rule: Rule;
  /** The experiment that the request takes part in. */
  readonly experiment: { readonly id: string; readonly epoch: number; readonly arm: string } | null;
  readonly budget: Readonly<Record<Limit, number | null>> & {
    readonly prefer: Preference;
    readonly quantile: number | null;
    readonly strict: boolean;
    readonly downshift: boolean;
    readonly allow_research: boolean;
  };
  /** Share of outcomes within the predictions that are told as `budgeted`. */
  readonly quantile: number;
  /** Time that had gone by before the decision. */
  readonly elapsed_ms: number;
  readonly prompt_tokens: number;
  readonly max_tokens: number;
  readonly expected_tokens: { readonly p50: number; readonly budgeted: number };
  /** Requests under way at the replica. */
  readonly load: number;
  /** Limits that the variant was predicted to break. */
  readonly breaks: readonly Limit[];
  readonly predicted_ms: Readonly<Record<"ttft" | "tpot" | "latency", Levels>>;
  readonly candidates: readonly {
    readonly variant: string;
    readonly predicted_ms: Readonly<Record<"ttft" | "tpot" | "latency", number>> | null;
    readonly acc_norm: number | null;
    readonly word_perplexity: number | null;
    /** What an answer in time is worth, as a share of the base's. */
    readonly quality: number | null;
    /** Probability of keeping all limits in time. */
    readonly in_time: number | null;
    /** `in_time` times `quality`, less what the answer is expected to cost later requests. */
    readonly expected_usefulness: number | null;
    readonly lost: Lost | null;
  }[];
  /** Null until the answer has ended. */
  readonly actual: Outcome | null;
}

export interface Outcome {
  readonly ttft_ms: number | null;
  readonly tpot_ms: number | null;
  readonly latency_ms: number;
  readonly tokens: number;
  /** The answer came to its own end. */
  readonly complete: boolean;
  /** Limits of the budget that it broke. */
  readonly broke: readonly Limit[];
  /** Variants that went on with the answer, each from one of its tokens on. */
  readonly downshifts: readonly { readonly variant: string; readonly from_token: number }[];
}

export interface RecordOptions {
  readonly id: string;
  readonly now: number;
  readonly requestId: string;
  readonly model: string;
  readonly budget: Budget;
  readonly experiment: DecisionRecord["experiment"];
  readonly quantile: number;
  readonly elapsedMs: number;
  readonly maxTokens: number;
  readonly work: Work;
  readonly underWay: number;
  readonly decision: Decision;
  readonly predicted: PerMetric<PerLevel<number>>;
}

export function recordOf(options: RecordOptions): DecisionRecord {
  const { decision, budget, work, predicted, now } = options;
  return {
    id: options.id,
    object: "routing.decision",
    created: Math.floor(now / 1000),
    request_id: options.requestId,
    model: options.model,
    variant: decision.variant,
    rule: decision.rule,
    experiment: options.experiment,
    budget: {
      ...budgetOnWire(budget),
      prefer: budget.prefer,
      quantile: budget.quantile ?? null,
      strict: budget.strict,
      downshift: budget.downshift,
      allow_research: budget.allowResearch,
    },
    quantile: options.quantile,
    elapsed_ms: tenth(options.elapsedMs),
    prompt_tokens: work.promptTokens,
    max_tokens: options.maxTokens,
    expected_tokens: { p50: work.tokens.p50, budgeted: work.tokens.high },
    load: options.underWay,
    breaks: decision.breaks,
    predicted_ms: record(METRICS, (metric) => {
      const { p50, p90, p99, high } = predicted[metric];
      return { p50: tenth(p50), p90: tenth(p90), p99: tenth(p99), budgeted: tenth(high) };
    }),
    candidates: decision.verdicts.map(({ variant, prediction, quality, worth, inTime, usefulness, lost }) => ({
      variant,
      predicted_ms: prediction
        ? record(METRICS, (metric) => tenth(timeAt(prediction, metric, options.quantile)))
        : null,
      acc_norm: rounded(quality?.accNorm),
      word_perplexity: rounded(quality?.wordPerplexity),
      quality: rounded(worth, 1e3),
      in_time: rounded(inTime, 1e3),
      expected_usefulness: worth === undefined ? null : rounded(usefulness, 1e3),
      lost: lost ?? null,
    })),
    actual: null,
  };
}

export const budgetOnWire = (budget: Budget): Record<Limit, number | null> =>
  record(Object.keys(LIMITS) as Limit[], (limit) => budget[LIMITS[limit]] ?? null);

export const tenth = (ms: number): number => Math.round(ms * 10) / 10;
const rounded = (score: number | undefined, parts = 100): number | null =>
  score === undefined ? null : Math.round(score * parts) / parts;
