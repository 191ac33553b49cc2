// Recipes of depth: which layers run. They change no tensor, so all of them share the base's weights.

import type { Checkpoint } from "../../formats/checkpoint.ts";
import { UserError } from "../../formats/error.ts";
import { type Slot, type SlotRecipe, slotRecipeSchema } from "../../src/variants/index.ts";
import type { Artifact, Provenance } from "../artifact.ts";
import type { BaseNames } from "../base.ts";
import { VERSION } from "../version.ts";

export interface DepthArtifact {
  readonly checkpoint: Checkpoint;
  readonly names: BaseNames;
  /** Default: prefix and `suffix`. */
  readonly id: string | undefined;
  readonly suffix: string;
  readonly title: string;
  readonly origin: SlotRecipe["origin"];
  readonly status: SlotRecipe["status"];
  readonly slots: readonly Slot[];
  readonly method: string;
  readonly arguments: Provenance["arguments"];
  /** Digest of the calibration tokens. */
  readonly calibration?: string | undefined;
}

/** @throws UserError when the id can't be one */
export function depthArtifact(depth: DepthArtifact): Artifact {
  const { checkpoint, names, suffix, title, origin, status, slots, method, calibration } = depth;
  const id = depth.id ?? `${names.prefix}-${suffix}`;
  const recipe = slotRecipeSchema.safeParse({
    id,
    base: names.base,
    layers: names.layers,
    title,
    origin,
    status,
    slots,
  });
  if (!recipe.success) {
    const { path, message } = recipe.error.issues[0]!;
    throw new UserError(`no recipe can be made of this: ${path.join(".")}: ${message}`);
  }
  return {
    recipe: recipe.data,
    tensors: [],
    provenance: { method, arguments: depth.arguments, checkpoint: checkpoint.digest, calibration, version: VERSION },
  };
}
