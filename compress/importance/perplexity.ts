// Perplexity of the model without one unit; the first four layers and the last two are never removed. Kim et al., "Shortened LLaMA: Depth
// Pruning for Large Language Models with Comparison of Retraining Methods" (arXiv 2402.02834).
import { UserError } from "../../formats/error.ts";
import { allSlots } from "../forward/perplexity.ts";
import { type Criterion, rank } from "./criterion.ts";
import { perplexitiesWithout } from "./removal.ts";
import { labelOf, unitsOf } from "./units.ts";

const PROTECTED = { first: 4, last: 2 } as const;

export const perplexity: Criterion = {
  id: "perplexity",
  title: "Perplexity on removal",
  source: "Shortened LLaMA (arXiv 2402.02834)",
  value: "perplexity without the unit; low is dispensable",
  targets: ["block", "attention", "mlp", "joint"],
  usual: ["block"],
  async measure(context, target) {
    const { model, progress } = context;
    const beyond = model.shape.layers.length - PROTECTED.last;
    const units = unitsOf(model.shape, target).filter(({ layer }) => layer >= PROTECTED.first && layer < beyond);
    if (units.length === 0) {
      throw new UserError(
        `perplexity on removal keeps the first ${PROTECTED.first} layers and the last ${PROTECTED.last}, and the model has no ${target} beyond them (${model.shape.layers.length} layers): take another criterion`,
      );
    }
    const { step, end } = progress(units.length);
    const found = await perplexitiesWithout(context, allSlots(model), units, (unit, value) =>
      step(() => `without ${labelOf(unit)}: ${value.toPrecision(5)}`),
    );
    end();
    const values = units.map((unit, i) => ({ ...unit, value: found[i] as number }));
    return { values, order: rank(values, "lowest") };
  },
};
