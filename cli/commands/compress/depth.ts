// `franken compress depth`: removes what a criterion finds most dispensable.
import { join } from "node:path";
import type { Command } from "commander";
import { namesOf } from "../../../compress/base.ts";
import { readCalibration } from "../../../compress/calibration.ts";
import { depthArtifact } from "../../../compress/depth/recipe.ts";
import { select, slotsWithout } from "../../../compress/depth/select.ts";
import { UserError } from "../../../compress/error.ts";
import { openCheckpoint } from "../../../compress/formats/index.ts";
import { CRITERIA } from "../../../compress/importance/criteria.ts";
import { measureImportance, wantedOf } from "../../../compress/importance/measure.ts";
import { labelOf, TARGETS, type Target } from "../../../compress/importance/units.ts";
import { artifactsFolder } from "../../../compress/store.ts";
import { type ArtifactFlags, addArtifactOptions, store } from "../../artifact-options.ts";
import { addCalibrationOptions, type CalibrationFlags } from "../../calibration-options.ts";

interface Flags extends CalibrationFlags, ArtifactFlags {
  readonly criterion: string;
  readonly target: string;
}

export const SHORT: Record<Target, string> = { block: "block", attention: "attn", mlp: "mlp", joint: "joint" };

export function define(command: Command): void {
  addArtifactOptions(addCalibrationOptions(command))
    .option("--criterion <id>", [...CRITERIA.keys()].join(", "), "similarity")
    .option("--target <target>", TARGETS.join(", "), "attention")
    .action(run);
}

async function run(flags: Flags): Promise<void> {
  const wanted = wantedOf(flags.criterion, flags.target);
  const [one] = wanted;
  if (!one || wanted.length > 1) throw new UserError("compress depth takes one --criterion and one --target");
  const { criterion, target } = one;
  const names = await namesOf(flags.model);
  const checkpoint = await openCheckpoint(flags.model);
  try {
    const calibration = await readCalibration(checkpoint, flags);
    const { evaluation, remove } = flags;
    const folder = join(artifactsFolder(), "importance");
    const options = { checkpoint, calibration, wanted, evaluation, removals: remove, folder, output: process.stderr };
    for await (const { ranking } of measureImportance(options)) {
      const units = select(ranking, target, remove);
      process.stdout.write(`removes ${units.map(labelOf).join(" ")}\n`);
      const { sequences, length } = calibration.tokens;
      await store(
        depthArtifact({
          ...{ checkpoint, names, id: flags.id, status: "experimental", method: "depth" },
          suffix: `${criterion.id}-${SHORT[target]}-drop-${remove}`,
          title: `${remove} ${target === "joint" ? "sublayers" : `${SHORT[target]} units`} dropped by ${criterion.id}`,
          origin: { source: criterion.source, section: criterion.title.toLowerCase() },
          slots: slotsWithout(checkpoint.shape, units),
          arguments: { criterion: criterion.id, target, remove, sequences, length, evaluation, text: calibration.name },
          calibration: calibration.digest,
        }),
        flags,
      );
    }
  } finally {
    await checkpoint.close();
  }
}
