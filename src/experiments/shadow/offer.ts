// Which answers are scored, and what is asked about them.
import { AUTO } from "../../variants/index.ts";
import type { Experiment } from "../schema.ts";
import { isSampled, needsShadow, type ShadowJob } from "./job.ts";

/** An answer stays in the queue for this long at most, even where its unit is observed for longer. */
const LONGEST_KEPT_MS = 60 * 60_000;

export interface AnswerOffer
  extends Pick<
    ShadowJob,
    "epoch" | "unit" | "arm" | "request" | "reference" | "promptIds" | "replyIds" | "scope" | "begunAt"
  > {
  readonly spec: Pick<Experiment, "id" | "control" | "primary" | "guardrails" | "arms"> &
    Pick<Experiment, "shadow_share" | "window_seconds" | "settle_seconds">;
}

/** @returns undefined for an answer that is not to be scored: of another arm than the control, not in the sample, or empty */
export function shadowJobOf({ spec, ...answer }: AnswerOffer): ShadowJob | undefined {
  const { id, control, arms, shadow_share, window_seconds, settle_seconds } = spec;
  if (!needsShadow(spec) || answer.arm !== control || answer.replyIds.length === 0) return undefined;
  const treatments = arms
    .filter(({ name, model, weight }) => name !== control && model !== AUTO && weight > 0)
    .map(({ name, model }) => ({ arm: name, variant: model }));
  if (treatments.length === 0 || !isSampled(answer.request, id, shadow_share)) return undefined;
  const keptMs = Math.min((window_seconds + settle_seconds) * 1000, LONGEST_KEPT_MS);
  return { ...answer, experiment: id, treatments, until: answer.begunAt + keptMs };
}
