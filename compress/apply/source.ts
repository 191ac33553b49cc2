// What a method starts from: a checkpoint, or a variant that was made before, whose changes the new one keeps.

import type { Checkpoint } from "../../formats/checkpoint.ts";
import { sha256 } from "../../formats/digest.ts";
import { UserError } from "../../formats/error.ts";
import { type Slot, type SlotRecipe, slotRecipeSchema } from "../../src/variants/index.ts";
import type { Artifact, ChangedTensor, Provenance } from "../artifact.ts";
import { type BaseNames, namesOf } from "../base.ts";
import { allSlots } from "../forward/perplexity.ts";
import type { Changes } from "../methods/models.ts";
import { openCheckpoint, openModelOf } from "../open.ts";
import { findRecipe } from "../stack.ts";
import { changesOf, readChange } from "../store.ts";
import { VERSION } from "../version.ts";
import { withChanges } from "./overlay.ts";

export interface Source {
  /** The base as it is, and with the variant's changes. */
  readonly original: Checkpoint;
  readonly checkpoint: Checkpoint;
  readonly slots: readonly Slot[];
  readonly changes: readonly ChangedTensor[];
  readonly names: BaseNames;
  /** The variant, if there is one, and the digest of its recipe. */
  readonly from: { readonly recipe: SlotRecipe; readonly digest: string } | undefined;
}

/**
 * @param model as `openCheckpoint` takes it; with `from` it is the variant's base
 * @throws UserError when there is no such checkpoint or variant, or the variant has an adapter, which moments would not know of
 */
export async function openSource(model: string, from: string | undefined): Promise<Source> {
  if (from === undefined) {
    const names = await namesOf(model);
    const checkpoint = await openCheckpoint(model);
    return { original: checkpoint, checkpoint, slots: allSlots(checkpoint), changes: [], names, from: undefined };
  }
  const recipe = await findRecipe(from);
  if (recipe.adapter) {
    throw new UserError(`--from ${from}: it has an adapter already; start from the variant that it was made from`);
  }
  const names = { base: recipe.base, layers: recipe.layers, prefix: recipe.id };
  const changes = await Promise.all(
    changesOf(recipe).map(async (change): Promise<ChangedTensor> => {
      const { name, type, rows, cols, bits } = change;
      return { name, type, rows, cols, bits, data: await readChange(change) };
    }),
  );
  const original = await openModelOf(recipe);
  const digest = sha256(JSON.stringify(recipe));
  const checkpoint = withChanges(original, changes);
  return { original, checkpoint, slots: recipe.slots, changes, names, from: { recipe, digest } };
}

export interface Description {
  /** Default: what the source's ids begin with, and `suffix`. */
  readonly id: string | undefined;
  readonly suffix: string;
  readonly title: string;
  readonly origin: SlotRecipe["origin"];
  readonly status: SlotRecipe["status"];
  readonly method: string;
  readonly arguments: Provenance["arguments"];
  /** Digest of the calibration tokens. */
  readonly calibration?: string | undefined;
  readonly seed?: number | undefined;
}

/** @throws UserError when the id can't be one */
export function artifactOf(source: Source, changes: Changes, description: Description): Artifact {
  const { suffix, title, origin, status, method, calibration, seed } = description;
  const id = description.id ?? `${source.names.prefix}-${suffix}`;
  const recipe = slotRecipeSchema.safeParse({
    id,
    base: source.names.base,
    layers: source.names.layers,
    title,
    origin,
    status,
    slots: source.slots,
  });
  if (!recipe.success) {
    const [issue] = recipe.error.issues;
    throw new UserError(`--id ${id}: ${issue?.path.join(".")}: ${issue?.message}`);
  }
  const tensors = new Map([...source.changes, ...changes.tensors].map((tensor) => [tensor.name, tensor]));
  const from = source.from ? { from: source.from.recipe.id, fromDigest: source.from.digest } : {};
  const lowRank = changes.lowRank ?? [];
  return {
    recipe: recipe.data,
    tensors: [...tensors.values()],
    adapter: lowRank.length > 0 ? { linears: lowRank } : undefined,
    provenance: {
      method,
      arguments: { ...description.arguments, ...from },
      checkpoint: source.original.digest,
      calibration,
      seed,
      version: VERSION,
    },
  };
}
