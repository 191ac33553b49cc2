// A request's budget: what the request and its key state, and what an experiment's arm may add
// where they state nothing.
import { type Budget, type Limit, NO_BUDGET } from "../routing/index.ts";

/** What an arm's policy may say. */
const OF_POLICY = ["prefer", "quantile", "allowResearch"] as const;
type OfPolicy = (typeof OF_POLICY)[number];

export interface StatedBudget {
  /** With defaults for what nobody states. */
  readonly budget: Budget;
  /** What neither the request nor its key states. */
  readonly unstated: readonly OfPolicy[];
  /** What the request calls each limit, for error messages. */
  readonly names: Readonly<Record<Limit, string>>;
}

/** @param given undefined is not stated; null states that there is none */
export function statedBudget(
  given: { readonly [K in keyof Budget]: Budget[K] | null | undefined },
  names: StatedBudget["names"],
): StatedBudget {
  return {
    budget: {
      latencyMs: given.latencyMs ?? undefined,
      ttftMs: given.ttftMs ?? undefined,
      tpotMs: given.tpotMs ?? undefined,
      minHellaswag: given.minHellaswag ?? undefined,
      maxPerplexity: given.maxPerplexity ?? undefined,
      prefer: given.prefer ?? NO_BUDGET.prefer,
      quantile: given.quantile ?? undefined,
      strict: given.strict ?? NO_BUDGET.strict,
      downshift: given.downshift ?? NO_BUDGET.downshift,
      allowResearch: given.allowResearch ?? NO_BUDGET.allowResearch,
    },
    unstated: OF_POLICY.filter((field) => given[field] === undefined),
    names,
  };
}

/** What an arm says of how to choose. */
export type ArmPolicy = { readonly [K in OfPolicy]?: Budget[K] | null | undefined };

/** @param policy of the request's arm, if it has one */
export function withPolicy({ budget, unstated }: StatedBudget, policy: ArmPolicy | undefined): Budget {
  if (!policy) return budget;
  const added = unstated.flatMap((field) => (policy[field] == null ? [] : [[field, policy[field]] as const]));
  return { ...budget, ...Object.fromEntries(added) };
}
