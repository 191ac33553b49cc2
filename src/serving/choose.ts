// Chooses the variant that answers a request, and writes the decision to the request's log.
import type { Budget, Limit, Routed } from "../routing/index.ts";
import type { AssignedArm } from "./arm.ts";
import { ServingError } from "./errors.ts";
import type { Prepared } from "./prepare.ts";
import type { GenerationRequest } from "./request.ts";
import type { RequestScope, ServingDeps } from "./scope.ts";

/**
 * @throws ServingError `budget_unmet` for a strict budget that the variant is predicted to break, `no_variant` when none
 *   may serve
 */
export async function chooseVariant(
  { router, now }: ServingDeps,
  scope: RequestScope,
  request: GenerationRequest,
  { base, pinned, prompts, promptTokens }: Prepared,
  { budget, arm }: { readonly budget: Budget; readonly arm: AssignedArm | undefined },
): Promise<Routed> {
  const routed = await router.route(
    {
      requestId: scope.requestId,
      key: scope.keyId,
      model: request.model,
      mayShorten: request.mayShorten,
      budget,
      pinned,
      base: base.id,
      promptTokens,
      maxTokens: Math.max(...prompts.map(({ maxTokens }) => maxTokens)),
      arm: arm?.routed,
      elapsedMs: now() - scope.arrivedAt,
    },
    scope.waitUntil,
  );
  if (!routed) {
    throw new ServingError(
      "no_variant",
      "No variant that has room for this request may serve at the moment. Try again, or name a variant as 'model'.",
    );
  }
  const { record } = routed;
  if (budget.strict && record.breaks.length > 0) throw unmet(routed, request.budget.names);
  const { ttft, tpot, latency } = record.predicted_ms;
  scope.log.decision = record.id;
  scope.log.rule = record.rule;
  scope.log.predictedMs = { ttft: ttft.budgeted, tpot: tpot.budgeted, latency: latency.budgeted };
  scope.log.variant = record.variant;
  return routed;
}

function unmet({ decision, record }: Routed, names: Readonly<Record<Limit, string>>): ServingError {
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
  const param = names[limit];
  const who =
    decision.rule === "pinned"
      ? `'${record.variant}'`
      : `No variant is predicted to meet the budget: the nearest, '${record.variant}',`;
  return new ServingError(
    "budget_unmet",
    `${who} ${foretold[limit]}, but '${param}' is ${record.budget[limit]}. Ask for less, or leave 'strict' out to get the nearest.`,
    { param },
  );
}
