// Removes the unit without which perplexity is lowest, measures what is left anew, and so on. Song et al., "SLEB: Streamlining LLMs through
// Redundancy Verification and Elimination of Transformer Blocks" (arXiv 2402.09025); here over sublayers, too.
import type { Slot } from "../../src/variants/index.ts";
import { allSlots } from "../forward/perplexity.ts";
import type { Criterion, Value } from "./criterion.ts";
import { perplexitiesWithout, without } from "./removal.ts";
import { labelOf, type Unit, unitsOf } from "./units.ts";

export const greedy: Criterion = {
  id: "greedy",
  title: "Greedy removal, measured anew after each",
  source: "SLEB (arXiv 2402.09025)",
  value: "perplexity once the unit and those before it are removed; in order of removal",
  targets: ["block", "attention", "mlp", "joint"],
  usual: ["block"],
  async measure(context, target) {
    const { model, progress, removals } = context;
    let slots: Slot[] = allSlots(model);
    let left: readonly Unit[] = unitsOf(model.shape, target);
    // The last unit stays: a model without any computes nothing.
    const rounds = Math.min(removals, left.length - 1);
    const { step, end } = progress((rounds * (2 * left.length - rounds + 1)) / 2);
    const values: Value[] = [];
    for (let round = 1; round <= rounds; round++) {
      const found = await perplexitiesWithout(context, slots, left, (unit, value) =>
        step(() => `round ${round}/${rounds}, without ${labelOf(unit)}: ${value.toPrecision(5)}`),
      );
      const value = Math.min(...found);
      const unit = left[found.indexOf(value)] as Unit;
      values.push({ ...unit, value });
      slots = without(slots, unit);
      left = left.filter((one) => one !== unit);
    }
    end();
    return { values, order: values.map(({ layer, part }) => ({ layer, part })) };
  },
};
