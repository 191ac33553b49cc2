// Perplexity of a model without one of its units, for many units: all of them share the states before what is removed.

import { UserError } from "../../formats/error.ts";
import type { Slot } from "../../src/variants/index.ts";
import type { Hidden } from "../forward/forward.ts";
import { perplexityOf, runSlots } from "../forward/perplexity.ts";
import type { Context } from "./criterion.ts";
import { labelOf, type Unit } from "./units.ts";

/** The slots without a unit; slots that do nothing any more go. */
export function without(slots: readonly Slot[], { layer, part }: Unit): Slot[] {
  return slots
    .map((slot) =>
      slot.layer === layer
        ? { ...slot, attn: slot.attn && part === "mlp", mlp: slot.mlp && part === "attention" }
        : slot,
    )
    .filter(({ attn, mlp }) => attn || mlp);
}

/** What slots compute, as text: the key of a perplexity that is kept. */
export const slotsKey = (slots: readonly Slot[]): string =>
  slots.map(({ layer, attn, mlp }) => `${layer}${attn ? "a" : ""}${mlp ? "m" : ""}`).join(" ");

/**
 * Perplexity without each of the units, one after another.
 * @param slots of layers in order, each at most once
 * @param done called after each unit
 */
export async function perplexitiesWithout(
  { forward, model, evaluation, perplexities }: Context,
  slots: readonly Slot[],
  units: readonly Unit[],
  done: (unit: Unit, perplexity: number) => void,
): Promise<number[]> {
  const keyOf = (unit: Unit): string => slotsKey(without(slots, unit));
  let x: Hidden | undefined;
  let passed = 0;
  const rest = { sequences: evaluation.sequences, length: evaluation.length };
  for (const unit of units.toSorted((a, b) => a.layer - b.layer)) {
    const key = keyOf(unit);
    let perplexity = perplexities.get(key);
    if (perplexity === undefined) {
      x ??= forward.embed(await model.embedding(), evaluation);
      const at = slots.findIndex(({ layer }) => layer === unit.layer);
      await runSlots(forward, model, slots.slice(passed, at), x);
      passed = at;
      const states = { ...rest, values: x.values.slice() };
      await runSlots(forward, model, without(slots, unit).slice(at), states);
      perplexity = perplexityOf(await forward.nll(await model.head(), states, evaluation));
      if (!Number.isFinite(perplexity)) {
        throw new UserError(`without ${labelOf(unit)}, the model gives logits that are not finite`);
      }
      perplexities.add(key, perplexity);
    }
    done(unit, perplexity);
  }
  return units.map((unit) => perplexities.get(keyOf(unit)) as number);
}
