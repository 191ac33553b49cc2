// Options of every command that makes a variant, and what it says at the end.
import type { Command } from "commander";
import type { Artifact } from "../compress/artifact.ts";
import { writeArtifact } from "../compress/store.ts";

export interface ArtifactFlags {
  readonly id?: string;
  readonly force?: boolean;
}

export const addArtifactOptions = (command: Command): Command =>
  command
    .option("--id <id>", "the variant's id (default: made of the model's and the method)")
    .option("--force", "replace a variant of this id that has other content");

/** Writes it and prints where it is. */
export async function store(artifact: Artifact, { force }: ArtifactFlags): Promise<void> {
  const { file, existed } = await writeArtifact(artifact, { force });
  process.stdout.write(`${artifact.recipe.id}${existed ? " (was there already)" : ""}\n  ${file}\n`);
}
