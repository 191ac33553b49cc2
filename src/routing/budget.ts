// What a request asks of its answer beside the text, in this code's own terms. src/openai/shared/budget.ts has the wire
// form.
import type { TimeAllowed } from "../scheduler/index.ts";

export type Preference = "quality" | "speed" | "cost";

/** Milliseconds, and scores as recorded. What is undefined is not asked for. */
export interface Budget {
  readonly latencyMs: number | undefined;
  readonly ttftMs: number | undefined;
  readonly tpotMs: number | undefined;
  /** Least acc_norm, in percent. */
  readonly minHellaswag: number | undefined;
  /** Most word perplexity. */
  readonly maxPerplexity: number | undefined;
  readonly prefer: Preference;
  /** Probability with which the limits in time are to be kept: a promise. Undefined: whatever is most useful. */
  readonly quantile: number | undefined;
  /** A budget that cannot be met is an error; it is a promise, at the gateway's quantile where it names none. */
  readonly strict: boolean;
  /** An answer that falls behind `latencyMs` may go on with a lighter variant. */
  readonly downshift: boolean;
  /** Variants whose text is mostly broken may answer, too. */
  readonly allowResearch: boolean;
}

/** The limits of a budget by their wire names, in the order in which a violation is reported. */
export const LIMITS = {
  latency_ms: "latencyMs",
  ttft_ms: "ttftMs",
  tpot_ms: "tpotMs",
  min_hellaswag: "minHellaswag",
  max_perplexity: "maxPerplexity",
} as const satisfies Record<string, keyof Budget>;
export type Limit = keyof typeof LIMITS;

export const NO_BUDGET: Budget = {
  latencyMs: undefined,
  ttftMs: undefined,
  tpotMs: undefined,
  minHellaswag: undefined,
  maxPerplexity: undefined,
  prefer: "quality",
  quantile: undefined,
  strict: false,
  downshift: false,
  allowResearch: false,
};

/** What is left of the limits in time, of which the time between tokens has not begun. */
export const timeLeft = ({ latencyMs, ttftMs, tpotMs }: Budget, elapsedMs: number): TimeAllowed => ({
  latencyMs: latencyMs && latencyMs - elapsedMs,
  ttftMs: ttftMs && ttftMs - elapsedMs,
  tpotMs,
});

export const isTimed = ({ latencyMs, ttftMs, tpotMs }: Budget): boolean =>
  latencyMs !== undefined || ttftMs !== undefined || tpotMs !== undefined;

export const hasLimit = (budget: Budget): boolean => Object.values(LIMITS).some((name) => budget[name] !== undefined);
