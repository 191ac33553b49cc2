// From a ranking to what a model runs without its n most dispensable units.

import type { ModelShape } from "../../formats/checkpoint.ts";
import { UserError } from "../../formats/error.ts";
import type { Slot } from "../../src/variants/index.ts";
import type { Ranking } from "../importance/criterion.ts";
import { without } from "../importance/removal.ts";
import type { Part, Target, Unit } from "../importance/units.ts";

const NAMES: Record<Target, string> = {
  block: "layers",
  attention: "attention sublayers",
  mlp: "MLP sublayers",
  joint: "attention and MLP sublayers",
};

/**
 * The units to remove: the first `count` of the order, or the run of `count` layers where the criterion looks at runs.
 * @throws UserError when there are not so many, or when nothing would be left
 */
export function select({ order, runs }: Ranking, target: Target, count: number): Unit[] {
  const most = runs ? runs.length - 1 : order.length;
  if (!(Number.isInteger(count) && count >= 1 && count <= most)) {
    throw new UserError(`--remove ${count}: this criterion can remove 1 to ${most} ${NAMES[target]}`);
  }
  const run = runs?.find(({ layers }) => layers === count);
  return run
    ? Array.from({ length: count }, (_, i) => ({ layer: run.first + i, part: "block" }))
    : order.slice(0, count);
}

/** Slots of the layers in order, less the units. @throws UserError when none is left */
export function slotsWithout({ layers }: ModelShape, units: readonly Unit[]): Slot[] {
  const all: Slot[] = layers.map((_, layer) => ({ layer, attn: true, mlp: true }));
  const slots = units.reduce<Slot[]>(without, all);
  if (slots.length === 0) throw new UserError("nothing would be left of the model: remove less");
  return slots;
}

/**
 * The attention or MLP sublayers of the `count` layers before the last `keep` ones: "Enhancing Inference Efficiency of Large Language
 * Models" (arXiv 2404.05741) skips the later ones.
 * @throws UserError when the model has not so many layers
 */
export function laterUnits({ layers }: ModelShape, part: Exclude<Part, "block">, count: number, keep: number): Unit[] {
  const last = layers.length - keep;
  if (count > last) {
    throw new UserError(`--count ${count} and --keep ${keep} are more than the model's ${layers.length} layers`);
  }
  return Array.from({ length: count }, (_, i) => ({ layer: last - count + i, part }));
}
