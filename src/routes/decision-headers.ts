// What a reply's headers say of why its variant answers.
import type { Context } from "hono";
import type { DecisionRecord } from "../routing/index.ts";
import type { AppEnv } from "./context.ts";

/** Of a reply that a variant gives. */
export const DECISION_HEADERS = {
  variant: "x-franken-variant",
  decision: "x-franken-decision",
  rule: "x-franken-rule",
  breaks: "x-franken-budget-breaks",
  experiment: "x-franken-experiment",
  arm: "x-franken-arm",
} as const;
/** Times by the limit that they are held against: predicted, and asked for. */
const TIME_HEADERS = {
  latency_ms: ["x-franken-predicted-ms", "x-franken-budget-ms"],
  ttft_ms: ["x-franken-predicted-ttft-ms", "x-franken-budget-ttft-ms"],
  tpot_ms: ["x-franken-predicted-tpot-ms", "x-franken-budget-tpot-ms"],
} as const;
export const ROUTING_HEADERS: string[] = [...Object.values(DECISION_HEADERS), ...Object.values(TIME_HEADERS).flat()];

export function writeDecision(c: Context<AppEnv>, decision: DecisionRecord): void {
  c.header(DECISION_HEADERS.variant, decision.variant);
  c.header(DECISION_HEADERS.decision, decision.id);
  c.header(DECISION_HEADERS.rule, decision.rule);
  if (decision.breaks.length > 0) c.header(DECISION_HEADERS.breaks, decision.breaks.join(","));
  if (decision.experiment) {
    c.header(DECISION_HEADERS.experiment, decision.experiment.id);
    c.header(DECISION_HEADERS.arm, decision.experiment.arm);
  }
  const { ttft, tpot, latency } = decision.predicted_ms;
  for (const [limit, predicted] of [
    ["latency_ms", latency],
    ["ttft_ms", ttft],
    ["tpot_ms", tpot],
  ] as const) {
    const [predictedHeader, budgetHeader] = TIME_HEADERS[limit];
    c.header(predictedHeader, String(predicted.budgeted));
    if (decision.budget[limit] !== null) c.header(budgetHeader, String(decision.budget[limit]));
  }
}
