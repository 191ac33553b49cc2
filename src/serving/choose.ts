// Which variant answers a request, what the reply's headers say of it, and what its end teaches.
import type { Context } from "hono";
import { ApiError, limitParam } from "../openai/index.ts";
import type { AppEnv, GatewayDeps } from "../routes/context.ts";
import type { Budget, Limit, Outcome, Routed, RoutedArm } from "../routing/index.ts";

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

/** The weight sets among whose variants `auto` chooses: the one that is listed first, and what shares its memory. */
export async function weightsToChooseFrom({ catalogue, replicaOf }: GatewayDeps): Promise<readonly string[]> {
  const first = [...catalogue.values()][0]?.plan.base.id;
  if (first === undefined) return [];
  const status = await replicaOf(first)
    .status(first, false)
    .catch(() => undefined);
  return status?.weights ?? [first];
}

export interface ChooseOptions {
  readonly model: string;
  /** The length of the reply is a default, and not the client's wish. */
  readonly mayShorten: boolean;
  readonly budget: Budget;
  /** The variant that the request names. */
  readonly pinned: string | undefined;
  readonly base: string;
  readonly promptTokens: number;
  readonly maxTokens: number;
  readonly arrivedAt: number;
  /** Of the experiment that the request takes part in. */
  readonly arm: RoutedArm | undefined;
}

/**
 * Chooses, and writes the reply's headers.
 * @throws ApiError `budget_unmet` for a strict budget that the variant is predicted to break, `replica_unavailable` when none may serve
 */
export async function chooseVariant(c: Context<AppEnv>, deps: GatewayDeps, options: ChooseOptions): Promise<Routed> {
  const { arrivedAt, ...request } = options;
  const { budget } = request;
  const routed = await deps.router.route(
    {
      requestId: c.get("requestId"),
      key: c.get("access").keyId,
      ...request,
      elapsedMs: deps.now() - arrivedAt,
    },
    (promise) => c.executionCtx.waitUntil(promise),
  );
  if (!routed) {
    throw new ApiError(
      "replica_unavailable",
      "No variant that has room for this request may serve at the moment. Try again, or name a variant as 'model'.",
    );
  }
  const { record } = routed;
  if (budget.strict && record.breaks.length > 0) throw unmet(c, routed);
  c.header(DECISION_HEADERS.variant, record.variant);
  c.header(DECISION_HEADERS.decision, record.id);
  c.header(DECISION_HEADERS.rule, record.rule);
  if (record.breaks.length > 0) c.header(DECISION_HEADERS.breaks, record.breaks.join(","));
  if (record.experiment) {
    c.header(DECISION_HEADERS.experiment, record.experiment.id);
    c.header(DECISION_HEADERS.arm, record.experiment.arm);
  }
  const { ttft, tpot, latency } = record.predicted_ms;
  for (const [limit, predicted] of [
    ["latency_ms", latency],
    ["ttft_ms", ttft],
    ["tpot_ms", tpot],
  ] as const) {
    const [predictedHeader, budgetHeader] = TIME_HEADERS[limit];
    c.header(predictedHeader, String(predicted.budgeted));
    if (record.budget[limit] !== null) c.header(budgetHeader, String(record.budget[limit]));
  }
  const log = c.get("record");
  log.decision = record.id;
  log.rule = record.rule;
  log.predictedMs = { ttft: ttft.budgeted, tpot: tpot.budgeted, latency: latency.budgeted };
  return routed;
}

function unmet(c: Context<AppEnv>, { decision, record }: Routed): ApiError {
  const limit = record.breaks[0] as Limit;
  const { quality } = decision.chosen;
  const { ttft, tpot, latency } = record.predicted_ms;
  const time = ({ budgeted }: { readonly budgeted: number }): string => `${Math.ceil(budgeted)} ms`;
  const foretold: Record<Limit, string> = {
    latency_ms: `is predicted to take ${time(latency)}`,
    ttft_ms: `is predicted to take ${time(ttft)} to its first token`,
    tpot_ms: `is predicted to take ${time(tpot)} a token`,
    min_hellaswag:
      quality?.accNorm === undefined ? "has no recorded HellaSwag score" : `has ${quality.accNorm} % on HellaSwag`,
    max_perplexity:
      quality?.wordPerplexity === undefined
        ? "has no recorded perplexity"
        : `has a word perplexity of ${quality.wordPerplexity}`,
  };
  const param = limitParam((name) => c.req.header(name), limit);
  const who =
    decision.rule === "pinned"
      ? `'${record.variant}'`
      : `No variant is predicted to meet the budget: the nearest, '${record.variant}',`;
  return new ApiError(
    "budget_unmet",
    `${who} ${foretold[limit]}, but '${param}' is ${record.budget[limit]}. Ask for less, or leave 'strict' out to get the nearest.`,
    { param },
  );
}

/**
 * Notes how a reply came out, once it has ended in whatever way.
 * @param readerMs that its reader made it wait
 * @returns how it came out; undefined when that was told before, or nothing came of it
 */
export function conclude(c: Context<AppEnv>, routed: Routed, readerMs: number): Outcome | undefined {
  const log = c.get("record");
  const outcome = routed.ended({ complete: log.finishReason !== undefined, readerMs });
  if (!outcome) return undefined;
  log.actualMs = { ttft: outcome.ttft_ms, tpot: outcome.tpot_ms, latency: outcome.latency_ms };
  if (outcome.broke.length > 0) log.broke = outcome.broke;
  return outcome;
}
