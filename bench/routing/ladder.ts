// Variants that do not exist yet, so that routing can be tried on them in simulated time: layers of the base, with a score.
import type { QualityBook } from "../../src/routing/index.ts";
import { qualitiesOf } from "../../src/routing/recorded.ts";
import type { Catalogue, Variant } from "../../src/variants/catalogue.ts";
import { compilePlan } from "../../src/variants/plan.ts";
import { type Recipe, recipeSchema } from "../../src/variants/recipe.ts";

/** So many layers, and the scores that they are taken to have. */
export interface Rung {
  readonly layers: number;
  /** Percent. */
  readonly accNorm: number;
  /** On WikiText-2; undefined counts as not measured. */
  readonly wordPerplexity?: number | undefined;
}

/** @throws Error for a text that is not layers, acc_norm and perhaps word perplexity, as in `20:33.0:60,15:30.5` */
export function parseLadder(text: string): Rung[] {
  return text.split(",").map((part) => {
    const [layers = 0, accNorm = Number.NaN, wordPerplexity, ...more] = part
      .split(":")
      .map((number) => (number === "" ? Number.NaN : Number(number)));
    const isRung = layers > 0 && Number.isInteger(layers) && accNorm >= 0 && accNorm <= 100 && more.length === 0;
    if (!isRung || !(wordPerplexity === undefined || wordPerplexity > 1)) {
      throw new Error(
        `--ladder ${text}: each rung is its number of layers, its acc_norm in percent and, if you like, ` +
          "its word perplexity, as in 20:33.0 or 20:33.0:60",
      );
    }
    return { layers, accNorm, wordPerplexity };
  });
}

const idOf = (base: string, { layers }: Rung): string => `${base}-made-up-${layers}`;

/** A catalogue with the rungs beside its own variants. The layers of a rung are spread evenly over the base's. */
export function withLadder(catalogue: Catalogue, ladder: readonly Rung[]): Catalogue {
  const [base, whole] = [...catalogue][0] as [string, Variant];
  const depth = whole.plan.slots.length;
  const rungs = ladder.map((rung): [string, Variant] => {
    const id = idOf(base, rung);
    const recipe: Recipe = recipeSchema.parse({
      id,
      base: whole.recipe.base,
      title: `${rung.layers} layers, made up`,
      status: "experimental",
      origin: { source: "made up", section: "none" },
      slots: Array.from({ length: rung.layers }, (_, i) => ({ layer: Math.floor((i * depth) / rung.layers) })),
    });
    if (!("slots" in recipe)) throw new Error("a rung is made of slots");
    return [id, { recipe, plan: compilePlan(recipe, whole.plan.base) }];
  });
  return new Map([...catalogue, ...rungs]);
}

type Scores = Parameters<typeof qualitiesOf>[0];

/** Recorded scores, with the rungs' beside, on the items of the base. */
export function withRungs(recorded: Scores, catalogue: Catalogue, ladder: readonly Rung[]): QualityBook {
  const base = [...catalogue.keys()][0] as string;
  const rungs = new Map(ladder.map((rung) => [idOf(base, rung), rung]));
  return qualitiesOf(
    {
      of(variant, task) {
        const rung = rungs.get(variant);
        const whole = recorded.of(rung ? base : variant, task);
        return rung && whole ? { results: RESULTS[task]?.(rung, whole.results) ?? new Map() } : whole;
      },
    },
    catalogue.keys(),
  );
}

type Results = NonNullable<ReturnType<Scores["of"]>>["results"];

const RESULTS: Readonly<Record<string, (rung: Rung, whole: Results) => Results>> = {
  /** Of the base's items, as many are right as the score says, the first ones that are. */
  hellaswag({ accNorm }, whole) {
    let left = Math.round((accNorm / 100) * whole.size);
    return new Map(
      [...whole].map(([item, { acc_norm }]) => [item, { acc_norm: acc_norm === 1 && left-- > 0 ? 1 : 0 }]),
    );
  },
  /** Each page is less likely by the same factor a word. */
  wikitext({ wordPerplexity }, whole) {
    if (wordPerplexity === undefined) return new Map();
    const pages = [...whole].map(([item, { logLikelihood, words }]) => ({
      item,
      words: Number(words),
      logLikelihood: Number(logLikelihood),
    }));
    const sum = (of: (page: (typeof pages)[number]) => number): number =>
      pages.reduce((total, page) => total + of(page), 0);
    const nats = Math.log(wordPerplexity) + sum((page) => page.logLikelihood) / sum((page) => page.words);
    return new Map(
      pages.map(({ item, words, logLikelihood }) => [item, { words, logLikelihood: logLikelihood - nats * words }]),
    );
  },
};
