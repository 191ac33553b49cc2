// `franken compress skip`: runs later layers without their attention, or without their MLP.
import { type Command, Option } from "commander";
import { namesOf } from "../../../compress/base.ts";
import { depthArtifact } from "../../../compress/depth/recipe.ts";
import { laterUnits, slotsWithout } from "../../../compress/depth/select.ts";
import { openCheckpoint } from "../../../compress/formats/index.ts";
import { type ArtifactFlags, addArtifactOptions, store } from "../../artifact-options.ts";
import { positive, whole } from "../../calibration-options.ts";

interface Flags extends ArtifactFlags {
  readonly model: string;
  readonly target: "attention" | "mlp";
  readonly count: number;
  readonly keep: number;
}

const SHORT = { attention: "attn", mlp: "mlp" } as const;

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
    const units = laterUnits(checkpoint.shape, target, count, keep);
    const artifact = depthArtifact({
      ...{ checkpoint, names, id: flags.id, status: "experimental", method: "skip" },
      suffix: `later-${SHORT[target]}-skip-${count}${keep === 1 ? "" : `-keep-${keep}`}`,
      title: `${target === "mlp" ? "MLP" : "Attention"} of the ${count} layers before the last ${keep} skipped`,
      origin: {
        source: "Enhancing Inference Efficiency of Large Language Models (arXiv 2404.05741)",
        section: `skipping the later ${target === "mlp" ? "FFN" : "attention"} sublayers`,
      },
      slots: slotsWithout(checkpoint.shape, units),
      arguments: { target, count, keep },
    });
    await store(artifact, flags);
  } finally {
    await checkpoint.close();
  }
}
