// `franken compress franken EXPRESSION`: runs layers in an order of the user's own.
import type { Command } from "commander";
import { namesOf } from "../../../compress/base.ts";
import { frankenArtifact } from "../../../compress/depth/make.ts";
import { openCheckpoint } from "../../../compress/open.ts";
import { type ArtifactFlags, addArtifactOptions, store } from "../../artifact-options.ts";

interface Flags extends ArtifactFlags {
  readonly model: string;
}

export function define(command: Command): void {
  addArtifactOptions(command)
    .argument("<expression>", "layers and ranges with commas between, as 0-5,10-13,14-18x2")
    .option("--model <source>", "a checkpoint: a base model's id, a file or a folder", "smollm2-135m")
    .addHelpText(
      "after",
      `
14-18x2    each of these layers twice before the next: 14 14 15 15 …
(14-18)x2  all of them, then all of them again
7a, 7m     just the attention, or just the MLP, of layer 7`,
    )
    .action(run);
}

async function run(text: string, { model, ...flags }: Flags): Promise<void> {
  const names = await namesOf(model);
  const checkpoint = await openCheckpoint(model);
  try {
    const artifact = frankenArtifact({ checkpoint, names, id: flags.id, text });
    await store(artifact, flags);
  } finally {
    await checkpoint.close();
  }
}
