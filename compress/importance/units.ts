// What depth compression can take away from a model: whole layers, or their attention or MLP sublayers.
import type { ModelShape } from "../../formats/checkpoint.ts";

export const TARGETS = ["block", "attention", "mlp", "joint"] as const;
/** `joint`: attention and MLP sublayers in one ranking. */
export type Target = (typeof TARGETS)[number];
export type Part = Exclude<Target, "joint">;

export interface Unit {
  readonly layer: number;
  readonly part: Part;
}

/** All units of a target, in the order in which the model runs them; a sublayer that a layer lacks is none. */
export function unitsOf({ layers }: ModelShape, target: Target): Unit[] {
  const wanted = (part: Part): boolean => target === part || (target === "joint" && part !== "block");
  return layers.flatMap(({ heads, ffn }, layer) => {
    const has = { block: heads > 0 || ffn > 0, attention: heads > 0, mlp: ffn > 0 };
    return (["block", "attention", "mlp"] as const)
      .filter((part) => wanted(part) && has[part])
      .map((part) => ({ layer, part }));
  });
}

const LABELS: Record<Part, string> = { block: "", attention: "a", mlp: "m" };

/** Short, as under a bar: `14`, `14a` (attention), `14m` (MLP). */
export const labelOf = ({ layer, part }: Unit): string => `${layer}${LABELS[part]}`;
