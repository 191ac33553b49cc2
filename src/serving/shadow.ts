// Hands an experiment's answers over to be scored under its other variants, once they are given.
import { type ShadowJob, shadowJobOf } from "../experiments/shadow/index.ts";
import { AUTO } from "../variants/index.ts";
import type { AssignedArm } from "./arm.ts";
import type { RequestScope, ServingDeps } from "./scope.ts";

export interface GivenAnswer extends Pick<ShadowJob, "reference" | "promptIds" | "replyIds"> {
  readonly arm: AssignedArm;
  /** Of the reference. */
  readonly weightsId: string;
}

/** In `waitUntil`: the answer waits for nothing, and a queue that is away costs a score and no more. */
export function offerToShadow(
  { shadowOf, log }: ServingDeps,
  { replyId, keyId, requestId, waitUntil }: RequestScope,
  { arm: assigned, weightsId, ...answer }: GivenAnswer,
): void {
  const { spec, epoch, unit, arm, begunAt, assigned: served } = assigned.assignment;
  // For the sake of a budget another variant may have answered: what agrees with that says nothing about the control.
  if (served.model !== AUTO && served.model !== answer.reference) return;
  const place = { epoch, unit, arm, begunAt, request: replyId, scope: keyId };
  const job = shadowOf && shadowJobOf({ ...answer, ...place, spec });
  if (!job) return;
  const offered = shadowOf(weightsId)
    .add(job)
    .then(
      () => undefined,
      ({ name, message, stack }: Error) =>
        log.failure({ requestId, name, message: `shadow scoring: ${message}`, stack }),
    );
  waitUntil(offered);
}
