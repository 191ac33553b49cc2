// A generating request's part in an experiment: the arm that it is in, and what is recorded of how it came out. Only requests with the model
// `auto` take part: whoever names a variant gets it.
import type { Context } from "hono";
import type { Assignment } from "../experiments/live/index.ts";
import { type Ask, AUTO, ClientGoneError, type ErrorCode, isServerError, toApiError } from "../openai/index.ts";
import type { AppEnv, GatewayDeps } from "../routes/context.ts";
import type { Outcome, RoutedArm } from "../routing/index.ts";

export interface Participation {
  /** Of the reply. */
  readonly id: string;
  readonly assignment: Assignment;
  /** For routing. */
  readonly arm: RoutedArm;
  /**
   * Records how the request came out.
   * @param outcome undefined when nothing came of it
   * @param failure what it failed of, if it did
   */
  ended(outcome: Outcome | undefined, failure: unknown): void;
}

/** @param id that the reply will have. @returns undefined for a request outside of experiments */
export async function participate(
  c: Context<AppEnv>,
  { experiments, now }: GatewayDeps,
  id: string,
  ask: Ask,
): Promise<Participation | undefined> {
  if (!experiments || ask.model !== AUTO) return undefined;
  const waitUntil = (promise: Promise<unknown>): void => c.executionCtx.waitUntil(promise);
  const visitor = { keyId: c.get("access").keyId, headers: c.req.raw.headers, user: ask.user };
  const assignment = await experiments.assign({ id, visitor, waitUntil });
  if (!assignment) return undefined;
  const { experiment, epoch, unit, arm, assigned, begunAt } = assignment;
  return {
    id,
    assignment,
    arm: {
      experiment: { id: experiment, epoch, arm },
      variant: assigned.model === AUTO ? undefined : assigned.model,
      measure: assigned.policy?.quality,
    },
    ended(outcome, failure) {
      const at = now();
      const place = { experiment, epoch, unit, arm, request: id, begunAt, at };
      waitUntil(
        experiments.record(
          measurementsOf(outcome, failure, c.get("record").error).map(([metric, value]) => ({
            ...place,
            metric,
            value,
          })),
        ),
      );
    },
  };
}

/** Names of `METRICS` with their values. A client that left, or asked for what cannot be, says nothing about an arm. */
function measurementsOf(
  outcome: Outcome | undefined,
  failure: unknown,
  told: string | undefined,
): (readonly [metric: string, value: number])[] {
  if (failure instanceof ClientGoneError || told === GONE) return [];
  const code = failure === undefined ? told : toApiError(failure).code;
  if (code !== undefined) return isServerError(code as ErrorCode) ? [["error", 1]] : [];
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

/** What the request's record says of a client that left. */
const GONE = "client_gone";
