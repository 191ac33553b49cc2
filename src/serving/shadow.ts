// Hands an experiment's answers over to be scored under its other variants, once they are given.
import type { Context } from "hono";
import { type ShadowJob, shadowJobOf } from "../experiments/shadow/index.ts";
import { AUTO } from "../openai/index.ts";
import type { AppEnv, GatewayDeps } from "../routes/context.ts";
import type { Participation } from "./arm.ts";

export interface GivenAnswer extends Pick<ShadowJob, "reference" | "promptIds" | "replyIds"> {
  readonly part: Participation;
}

/** In `waitUntil`: the answer waits for nothing, and a queue that is away costs a score and no more. */
export function offerToShadow(
  c: Context<AppEnv>,
  { shadowOf, log }: GatewayDeps,
  baseId: string,
  { part, ...answer }: GivenAnswer,
): void {
  const { spec, assigned, epoch, unit, arm, begunAt } = part.assignment;
  // For the sake of a budget another variant may have answered: what agrees with that says nothing about the control.
  if (assigned.model !== AUTO && assigned.model !== answer.reference) return;
  const place = { epoch, unit, arm, begunAt, request: part.id, scope: c.get("access").keyId };
  const job = shadowOf && shadowJobOf({ ...answer, ...place, spec });
  if (!job) return;
  const { requestId } = c.get("record");
  const offered = shadowOf(baseId)
    .add(job)
    .then(
      () => undefined,
      ({ name, message, stack }: Error) =>
        log.failure({ requestId, name, message: `shadow scoring: ${message}`, stack }),
    );
  c.executionCtx.waitUntil(offered);
}
