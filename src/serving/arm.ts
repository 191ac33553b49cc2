// A request's part in an experiment: the arm that it is in, and what is recorded of how it came
// out. Only requests with the model `auto` take part: whoever names a variant gets it.
import type { Assignment } from "../experiments/live/index.ts";
import type { Outcome, RoutedArm } from "../routing/index.ts";
import { AUTO } from "../variants/index.ts";
import type { ArmPolicy } from "./budget.ts";
import { ClientGoneError, isGatewayFault } from "./errors.ts";
import type { UnbudgetedRequest } from "./request.ts";
import type { RequestScope, ServingDeps } from "./scope.ts";

export interface AssignedArm {
  readonly assignment: Assignment;
  /** For routing. */
  readonly routed: RoutedArm;
  /** What it adds to a budget that does not say. */
  readonly policy: ArmPolicy | undefined;
}

/** @returns undefined for a request outside of experiments */
export async function assignArm(
  { experiments }: ServingDeps,
  scope: RequestScope,
  { model, user }: UnbudgetedRequest,
): Promise<AssignedArm | undefined> {
  if (!experiments || model !== AUTO) return undefined;
  const { replyId: id, keyId, headers, waitUntil } = scope;
  const assignment = await experiments.assign({ id, visitor: { keyId, headers, user }, waitUntil });
  if (!assignment) return undefined;
  const { experiment, epoch, arm, assigned } = assignment;
  const { policy } = assigned;
  return {
    assignment,
    routed: {
      experiment: { id: experiment, epoch, arm },
      variant: assigned.model === AUTO ? undefined : assigned.model,
      measure: policy?.quality,
    },
    policy: policy && {
      prefer: policy.prefer,
      quantile: policy.quantile,
      allowResearch: policy.allow_research,
    },
  };
}

/**
 * Records how a request of an arm came out.
 * @param outcome undefined when nothing came of it
 * @param failure what it failed of, if it did
 */
export function recordOutcome(
  { experiments, now }: ServingDeps,
  scope: RequestScope,
  { assignment }: AssignedArm,
  outcome: Outcome | undefined,
  failure: unknown,
): void {
  if (!experiments) return;
  const { experiment, epoch, unit, arm, begunAt } = assignment;
  const place = { experiment, epoch, unit, arm, request: scope.replyId, begunAt, at: now() };
  const measurements = measurementsOf(outcome, failure);
  scope.waitUntil(experiments.record(measurements.map(([metric, value]) => ({ ...place, metric, value }))));
}

/** Names of `METRICS` with their values. A client that left, or asked for what cannot be, says nothing about an arm. */
function measurementsOf(outcome: Outcome | undefined, failure: unknown): (readonly [metric: string, value: number])[] {
  if (failure instanceof ClientGoneError) return [];
  if (failure !== undefined) return isGatewayFault(failure) ? [["error", 1]] : [];
  if (!outcome?.complete) return [];
  const { ttft_ms: ttft, tpot_ms: tpot, latency_ms: latency, tokens } = outcome;
  return [
    ["error", 0],
    ["latency", latency],
    ["length", tokens],
    ...(ttft === null ? [] : [["ttft", ttft] as const]),
    ...(tpot === null ? [] : [["tpot", tpot] as const]),
  ];
}
