// The status of each shipped variant, by one rule over its recorded scores and its costs. `npm run readme` writes it into the recipes.

import { type ItemResult, type ItemResults, type RecordedScore, TASKS } from "../evaluation/index.ts";
import { metricValue, sharesOf } from "../evaluation/metrics.ts";
import { costsOf } from "../src/routing/index.ts";
import type { Catalogue, Status, Variant } from "../src/variants/index.ts";
import { variantDigest } from "../src/variants/index.ts";

/** Most word perplexity of a variant with that status, over the base's on the same pages. */
const MOST_PERPLEXITY = { stable: 1.5, experimental: 4 } as const;

/** How a variant stands to its base on the items that both were measured on; undefined: not measured. */
interface Standing {
  /** Word perplexity over the base's. */
  readonly perplexity: number | undefined;
  /** acc_norm minus the base's. */
  readonly accNorm: number | undefined;
  /** Milliseconds of a prompt token, of a generated one, and of attention to a token of the context. */
  readonly costs: readonly number[];
}

/**
 * `research`: the word perplexity is over four times the base's, or not measured. HellaSwag does not tell
 * broken text from simple. `stable`: it is at most one and a half times the base's, HellaSwag is measured,
 * and no other variant is as good and as fast, and better or faster. `experimental`: all others.
 * @param recorded scores of variants by what these compute: a record of another digest says nothing of them
 */
export function statuses(catalogue: Catalogue, recorded: readonly RecordedScore[]): Map<string, Status> {
  const standings = [...catalogue.values()].map((variant) => ({
    variant,
    standing: standingOf(variant, baseOf(variant, catalogue), recorded),
  }));
  return new Map(
    standings.map(({ variant: { recipe }, standing }) => {
      const others = standings.filter(({ variant }) => variant.recipe.base === recipe.base);
      const isDominated = others.some((other) => dominates(other.standing, standing));
      return [recipe.id, statusOf(standing, isDominated)];
    }),
  );
}

function statusOf({ perplexity, accNorm }: Standing, isDominated: boolean): Status {
  if (perplexity === undefined || perplexity > MOST_PERPLEXITY.experimental) return "research";
  return perplexity <= MOST_PERPLEXITY.stable && accNorm !== undefined && !isDominated ? "stable" : "experimental";
}

/** The first variant that is listed of a base is the base as it is. */
const baseOf = ({ recipe }: Variant, catalogue: Catalogue): Variant =>
  [...catalogue.values()].find((other) => other.recipe.base === recipe.base) as Variant;

function standingOf({ plan }: Variant, base: Variant, recorded: readonly RecordedScore[]): Standing {
  const of = (digest: string, task: string): ItemResults | undefined =>
    recorded.find((score) => score.task === task && score.digests.variant === digest)?.results;
  const pair = (task: string, metric: string): readonly [own: number, base: number] | undefined => {
    const [own, other] = [plan, base.plan].map((each) => of(variantDigest(each), task));
    const rule = TASKS.get(task)?.metrics.find(({ name }) => name === metric);
    const shared = own && other ? [...own.keys()].filter((item) => other.has(item)) : [];
    if (!own || !other || !rule || shared.length === 0) return undefined;
    const value = (results: ItemResults): number =>
      metricValue(
        sharesOf(
          shared.map((item) => results.get(item) as ItemResult),
          rule,
        ),
        rule,
      );
    return [value(own), value(other)];
  };
  const [perplexity, accNorm] = [pair("wikitext", "word_perplexity"), pair("hellaswag", "acc_norm")];
  return {
    perplexity: perplexity && perplexity[0] / perplexity[1],
    accNorm: accNorm && accNorm[0] - accNorm[1],
    costs: Object.values(costsOf(plan)),
  };
}

/** Whether nobody would take the second: the first is as good and as fast, and better or faster in something. */
function dominates(a: Standing, b: Standing): boolean {
  if (a.perplexity === undefined || a.accNorm === undefined || b.perplexity === undefined || b.accNorm === undefined) {
    return false;
  }
  const gains = [
    b.perplexity - a.perplexity,
    a.accNorm - b.accNorm,
    ...b.costs.map((cost, i) => cost - (a.costs[i] as number)),
  ];
  return gains.every((gain) => gain >= 0) && gains.some((gain) => gain > 0);
}
