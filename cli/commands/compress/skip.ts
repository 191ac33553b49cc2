// `franken compress skip`: runs later layers without their attention, or without their MLP.
import { type Command, Option } from "commander";
import { namesOf } from "../../../compress/base.ts";
import { skipArtifact } from "../../../compress/depth/make.ts";
import { openCheckpoint } from "../../../compress/open.ts";
import { type ArtifactFlags, addArtifactOptions, store } from "../../artifact-options.ts";
import { positive, whole } from "../../calibration-options.ts";

interface Flags extends ArtifactFlags {
  readonly model: string;
  readonly target: "attention" | "mlp";
  readonly count: number;
  readonly keep: number;
}

export function define(command: Command): void {
  addArtifactOptions(command)
    .option("--model <source>", "a checkpoint: a base model's id, a file or a folder", "smollm2-135m")
    .addOption(new Option("--target <target>").choices(["attention", "mlp"]).default("attention"))
    .requiredOption("--count <n>", "layers whose sublayer is skipped", positive)
    .option("--keep <n>", "last layers that stay whole", whole, 1)
    .action(run);
}

async function run({ model, target, count, keep, ...flags }: Flags): Promise<void> {
  const names = await namesOf(model);
  const checkpoint = await openCheckpoint(model);
  try {
    const artifact = skipArtifact({ checkpoint, names, id: flags.id, target, count, keep });
    await store(artifact, flags);
  } finally {
    await checkpoint.close();
  }
}
