// Variants that do not exist yet, so that routing can be tried on them in simulated time: layers of the base, with a score.
import type { QualityBook } from "../../src/routing/index.ts";
import { qualitiesOf } from "../../src/routing/recorded.ts";
import type { Catalogue, Variant } from "../../src/variants/catalogue.ts";
import { compilePlan } from "../../src/variants/plan.ts";
import { type Recipe, recipeSchema } from "../../src/variants/recipe.ts";

/** So many layers, and the acc_norm that they are taken to have, in percent. */
export interface Rung {
  readonly layers: number;
  readonly accNorm: number;
}

/** @throws Error for a text that is not layers and acc_norm, as in `20:33.0,15:30.5` */
export function parseLadder(text: string): Rung[] {
  return text.split(",").map((part) => {
    const [layers, accNorm] = part.split(":").map(Number) as [number, number | undefined];
    if (!(layers > 0 && Number.isInteger(layers)) || !(accNorm !== undefined && accNorm >= 0 && accNorm <= 100)) {
      throw new Error(`--ladder ${text}: each rung is its number of layers and its acc_norm in percent, as in 20:33.0`);
    }
    return { layers, accNorm };
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
      ...{ id, base: whole.recipe.base, title: `${rung.layers} layers, made up`, status: "experimental" },
      origin: { source: "made up", section: "none" },
      slots: Array.from({ length: rung.layers }, (_, i) => ({ layer: Math.floor((i * depth) / rung.layers) })),
    });
    if (!("slots" in recipe)) throw new Error("a rung is made of slots");
    return [id, { recipe, plan: compilePlan(recipe, whole.plan.base) }];
  });
  return new Map([...catalogue, ...rungs]);
}

type Scores = Parameters<typeof qualitiesOf>[0];

/** Recorded scores, with the rungs' beside: of the base's items, as many are right as the score says, the first ones that are. */
export function withRungs(recorded: Scores, catalogue: Catalogue, ladder: readonly Rung[]): QualityBook {
  const base = [...catalogue.keys()][0] as string;
  const rungs = new Map(ladder.map((rung) => [idOf(base, rung), rung]));
  return qualitiesOf(
    {
      of(variant, task) {
        const rung = rungs.get(variant);
        if (!rung) return recorded.of(variant, task);
        const whole = task === "hellaswag" ? recorded.of(base, task) : undefined;
        if (!whole) return undefined;
        let left = Math.round((rung.accNorm / 100) * whole.results.size);
        const results = new Map(
          [...whole.results].map(([item, { acc_norm }]) => [item, { acc_norm: acc_norm === 1 && left-- > 0 ? 1 : 0 }]),
        );
        return { results };
      },
    },
    catalogue.keys(),
  );
}
