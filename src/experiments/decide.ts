// What follows from results: which arm to stop, which to promote, and why.
import type { MetricResult, Results } from "./analysis.ts";
import type { Experiment } from "./schema.ts";

export interface Step {
  readonly action: "promote" | "stop";
  readonly arm: string;
  /** The comparisons that led to it. */
  readonly because: readonly MetricResult[];
}

/**
 * The steps that an experiment's `on_verdict` asks for: a treatment that is inferior on any judged metric is stopped; one that reached
 * `promote_when` on the primary metric, and is non-inferior or better on all guardrails, is promoted (the first such arm in the experiment's order, as
 * units can go to one arm only). Nothing follows while the sample ratio is broken.
 */
export function stepsOf(
  { metrics, sample_ratio }: Results,
  { on_verdict, promote_when }: Pick<Experiment, "on_verdict" | "promote_when">,
): readonly Step[] {
  if (on_verdict === "none" || sample_ratio.alarm) return [];
  const steps: Step[] = [];
  for (const arm of new Set(metrics.map(({ treatment }) => treatment))) {
    const own = metrics.filter(({ treatment }) => treatment === arm);
    const lost = own.filter(({ verdict }) => verdict === "inferior");
    const hasWon = own.every(
      ({ role, verdict }) =>
        verdict === "superior" ||
        (verdict === "non-inferior" && (role === "guardrail" || promote_when === "non-inferior")),
    );
    if (lost.length > 0) steps.push({ action: "stop", arm, because: lost });
    else if (hasWon) steps.push({ action: "promote", arm, because: own });
  }
  const winner = steps.find(({ action }) => action === "promote");
  return steps.filter(
    (step) => (on_verdict === "both" || step.action === on_verdict) && (step.action === "stop" || step === winner),
  );
}
