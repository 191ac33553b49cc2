// The artifacts of the methods of depth.

import type { Checkpoint } from "../../formats/checkpoint.ts";
import type { Artifact } from "../artifact.ts";
import type { BaseNames } from "../base.ts";
import type { Calibration } from "../calibration.ts";
import type { Measured } from "../importance/measure.ts";
import type { Target, Unit } from "../importance/units.ts";
import { parseExpression } from "./expression.ts";
import { depthArtifact } from "./recipe.ts";
import { laterUnits, select, slotsWithout } from "./select.ts";

interface Common {
  readonly checkpoint: Checkpoint;
  readonly names: BaseNames;
  /** Default: made of the model's and the method. */
  readonly id?: string | undefined;
}

const SHORT: Record<Target, string> = { block: "block", attention: "attn", mlp: "mlp", joint: "joint" };
const NAMES: Record<Target, string> = { block: "layers", attention: "attentions", mlp: "MLPs", joint: "sublayers" };

export interface RankedOptions extends Common {
  readonly measured: Measured;
  readonly calibration: Calibration;
  /** Sequences that perplexities were measured on. */
  readonly evaluation: number;
  readonly remove: number;
}

/**
 * The model without its `remove` most dispensable units.
 * @throws UserError when the ranking has not so many
 */
export function rankedArtifact(options: RankedOptions): {
  readonly artifact: Artifact;
  readonly units: readonly Unit[];
} {
  const { checkpoint, names, id, calibration, evaluation, remove } = options;
  const { criterion, target, ranking } = options.measured;
  const { sequences, length } = calibration.tokens;
  const units = select(ranking, target, remove);
  const artifact = depthArtifact({
    checkpoint,
    names,
    id,
    status: "experimental",
    method: "depth",
    suffix: `${criterion.id}-${SHORT[target]}-drop-${remove}`,
    title: `${remove} ${NAMES[target]} dropped by ${criterion.id}`,
    origin: { source: criterion.source, section: criterion.title.toLowerCase() },
    slots: slotsWithout(checkpoint.shape, units),
    arguments: { criterion: criterion.id, target, remove, sequences, length, evaluation, text: calibration.name },
    calibration: calibration.digest,
  });
  return { artifact, units };
}

export interface SkipOptions extends Common {
  readonly target: "attention" | "mlp";
  readonly count: number;
  /** Last layers that stay whole. */
  readonly keep: number;
}

/** The model without the attention, or the MLP, of later layers. @throws UserError as `laterUnits` does */
export function skipArtifact({ checkpoint, names, id, target, count, keep }: SkipOptions): Artifact {
  const name = target === "mlp" ? "MLP" : "Attention";
  return depthArtifact({
    checkpoint,
    names,
    id,
    status: "experimental",
    method: "skip",
    suffix: `later-${SHORT[target]}-skip-${count}${keep === 1 ? "" : `-keep-${keep}`}`,
    title: `${name} of the ${count} layers before the last ${keep} skipped`,
    origin: {
      source: "Enhancing Inference Efficiency of Large Language Models (arXiv 2404.05741)",
      section: `skipping the later ${target === "mlp" ? "FFN" : "attention"} sublayers`,
    },
    slots: slotsWithout(checkpoint.shape, laterUnits(checkpoint.shape, target, count, keep)),
    arguments: { target, count, keep },
  });
}

/** The model's layers in an order of the user's own. @throws UserError as `parseExpression` does */
export function frankenArtifact({ checkpoint, names, id, text }: Common & { readonly text: string }): Artifact {
  const expression = text.replace(/\s+/g, "");
  return depthArtifact({
    checkpoint,
    names,
    id,
    status: "research",
    method: "franken",
    suffix: `layers-${expression.replace(/[^0-9a-z]+/g, "-").replace(/^-|-$/g, "")}`,
    title: `Layers ${expression}`,
    origin: { source: "Franken-LLaMA", section: `expression ${expression}` },
    slots: parseExpression(text, checkpoint.shape.layers.length),
    arguments: { expression },
  });
}
