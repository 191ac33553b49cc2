// The variants that could go on with an answer under way: healthy ones for use, good enough for its budget, whose KV caches are among
// those that it has.
import { type Plan, sharedKv } from "../variants/index.ts";
import type { Budget } from "./budget.ts";
import { stepTime } from "./costs.ts";
import type { Progress } from "./downshift.ts";
import type { Profile } from "./latency.ts";
import { type Quality, type QualityBook, worthOf } from "./quality.ts";
import type { Candidate } from "./question.ts";

export interface LighterOptions {
  readonly current: string;
  readonly candidates: readonly Candidate[];
  readonly plans: ReadonlyMap<string, Plan>;
  readonly qualities: QualityBook;
  readonly budget: Budget;
  readonly profile: Profile;
  /** Tokens of context that a step is foretold with. */
  readonly context: number;
}

export function lightersOf(options: LighterOptions): Pick<Progress, "stepMs" | "lighter"> {
  const { current, candidates, plans, qualities, budget, profile, context } = options;
  const stepOf = ({ variant, costs }: Candidate): number =>
    stepTime(costs, context) * profile.of(variant).alone.tpot.p50;
  const from = candidates.find(({ variant }) => variant === current);
  const plan = plans.get(current);
  if (!from || !plan) return { stepMs: 0, lighter: [] };
  const fits = ({ variant, status, quarantined }: Candidate): boolean =>
    status !== "research" &&
    !quarantined &&
    meetsQuality(qualities.of(variant), budget) &&
    sharedKv(plan, plans.get(variant) as Plan) !== undefined;
  return {
    stepMs: stepOf(from),
    lighter: candidates.filter(fits).map((to) => ({
      variant: to.variant,
      stepMs: stepOf(to),
      quality: worthOf(qualities.of(to.variant)),
    })),
  };
}

const meetsQuality = (quality: Quality | undefined, { minHellaswag, maxPerplexity }: Budget): boolean =>
  (minHellaswag === undefined || (quality?.accNorm ?? Number.NEGATIVE_INFINITY) >= minHellaswag) &&
  (maxPerplexity === undefined || (quality?.wordPerplexity ?? Number.POSITIVE_INFINITY) <= maxPerplexity);
