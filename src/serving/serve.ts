// Serves one request, from what was asked for to the events of its reply: finds the model, assigns
// the arm of an experiment, chooses the variant and starts. What comes of it is followed and
// settled by the run.
import type { Variant } from "../variants/index.ts";
import { assignArm } from "./arm.ts";
import { withPolicy } from "./budget.ts";
import { chooseVariant } from "./choose.ts";
import { startDeadline } from "./deadline.ts";
import { type Prepared, prepare } from "./prepare.ts";
import type { GenerationRequest } from "./request.ts";
import { GenerationRun } from "./run.ts";
import type { RequestScope, ServingDeps } from "./scope.ts";

/**
 * @returns a run whose generation has begun: its events are to be read to their end, or left
 * @throws ServingError before anything is generated, or what the limits throw
 */
export async function serve(
  deps: ServingDeps,
  scope: RequestScope,
  request: GenerationRequest,
): Promise<GenerationRun> {
  const deadline = startDeadline(scope, deps);
  const over = Promise.withResolvers<void>();
  // The runtime drops an event whose client has left, unless something is waited for: the end is to
  // be noted all the same.
  scope.waitUntil(over.promise);
  try {
    const prepared = await prepare(deps, scope, request);
    scope.log.promptTokens = prepared.promptTokens;
    await scope.admission.reserve(mostTokens(prepared, request));
    const arm = await assignArm(deps, scope, request);
    const budget = withPolicy(request.budget, arm?.policy);
    const routed = await chooseVariant(deps, scope, request, prepared, { budget, arm });
    const { plan } = deps.catalogue.get(routed.decision.variant) as Variant;
    const onOver = over.resolve;
    return new GenerationRun({ deps, scope, request, prepared, arm, budget, routed, plan, deadline, onOver });
  } catch (error) {
    scope.admission.settle(0);
    deadline.release();
    over.resolve();
    throw error;
  }
}

/** What the request may use: its prompts, and the longest replies. */
const mostTokens = ({ prompts, promptTokens }: Prepared, { n }: GenerationRequest): number =>
  promptTokens + n * prompts.reduce((sum, { maxTokens }) => sum + maxTokens, 0);
