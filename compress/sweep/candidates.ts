// The grid of a sweep: every method with every amount. A new kind of method is a function here.

import type { Checkpoint } from "../../formats/checkpoint.ts";
import { sha256 } from "../../formats/digest.ts";
import { UserError } from "../../formats/error.ts";
import type { Artifact } from "../artifact.ts";
import type { BaseNames } from "../base.ts";
import type { Calibration } from "../calibration.ts";
import { rankedArtifact, skipArtifact } from "../depth/make.ts";
import { depthArtifact } from "../depth/recipe.ts";
import { type MeasureOptions, measureImportance } from "../importance/measure.ts";

export interface Candidate {
  /** What varies in amount along it, for the plot. */
  readonly family: string;
  readonly amount: number;
  readonly artifact: Artifact;
  /** Whether its recipe is there already: it ships, or a method wrote it. */
  readonly stored?: boolean | undefined;
}

export interface Source {
  readonly checkpoint: Checkpoint;
  readonly names: BaseNames;
}

/** The model as it is, which all others are compared with. */
export const unchanged = ({ checkpoint, names }: Source): Candidate => ({
  family: "unchanged",
  amount: 0,
  stored: true,
  artifact: depthArtifact({
    checkpoint,
    names,
    id: names.prefix,
    suffix: "",
    title: "Unchanged",
    status: "stable",
    method: "none",
    origin: { source: checkpoint.name, section: "the checkpoint" },
    slots: checkpoint.shape.layers.map((_, layer) => ({ layer, attn: true, mlp: true })),
    arguments: {},
  }),
});

export interface RankedGrid extends Source {
  readonly calibration: Calibration;
  readonly amounts: readonly number[];
  readonly measure: Pick<MeasureOptions, "wanted" | "evaluation" | "folder" | "progress">;
}

/** Each criterion and target with each amount. @throws UserError when an amount is more than a ranking has */
export async function ranked({ checkpoint, names, calibration, amounts, measure }: RankedGrid): Promise<Candidate[]> {
  const candidates: Candidate[] = [];
  const { evaluation } = measure;
  const removals = Math.max(...amounts);
  for await (const measured of measureImportance({ checkpoint, calibration, removals, ...measure })) {
    for (const remove of amounts) {
      const { artifact } = rankedArtifact({ checkpoint, names, measured, calibration, evaluation, remove });
      candidates.push({ family: `${measured.criterion.id} ${measured.target}`, amount: remove, artifact });
    }
  }
  return candidates;
}

/** Later attention or MLP sublayers skipped, in each amount. */
export const skipped = (source: Source, amounts: readonly number[]): Candidate[] =>
  (["attention", "mlp"] as const).flatMap((target) =>
    amounts.map((count) => ({
      family: `skip later ${target}`,
      amount: count,
      artifact: skipArtifact({ ...source, target, count, keep: 1 }),
    })),
  );

/** @throws UserError when two candidates have the same id and are not the same */
export function distinct(candidates: readonly Candidate[]): Candidate[] {
  const found = new Map<string, string>();
  return candidates.filter(({ artifact: { recipe } }) => {
    const digest = sha256(JSON.stringify([recipe.slots, recipe.tensors, recipe.adapter]));
    const before = found.get(recipe.id);
    if (before !== undefined && before !== digest) throw new UserError(`two methods of the sweep make ${recipe.id}`);
    found.set(recipe.id, digest);
    return before === undefined;
  });
}
