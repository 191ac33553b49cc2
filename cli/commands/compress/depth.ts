// `franken compress depth`: removes what a criterion finds most dispensable.
import { join } from "node:path";
import type { Command } from "commander";
import { namesOf } from "../../../compress/base.ts";
import { readCalibration } from "../../../compress/calibration.ts";
import { rankedArtifact } from "../../../compress/depth/make.ts";
import { CRITERIA } from "../../../compress/importance/criteria.ts";
import { measureImportance, wantedOf } from "../../../compress/importance/measure.ts";
import { labelOf, TARGETS } from "../../../compress/importance/units.ts";
import { openCheckpoint } from "../../../compress/open.ts";
import { artifactsFolder } from "../../../compress/store.ts";
import { UserError } from "../../../formats/error.ts";
import { type ArtifactFlags, addArtifactOptions, store } from "../../artifact-options.ts";
import { addCalibrationOptions, type CalibrationFlags } from "../../calibration-options.ts";

interface Flags extends CalibrationFlags, ArtifactFlags {
  readonly criterion: string;
  readonly target: string;
}

export function define(command: Command): void {
  addArtifactOptions(addCalibrationOptions(command))
    .option("--criterion <id>", [...CRITERIA.keys()].join(", "), "similarity")
    .option("--target <target>", TARGETS.join(", "), "attention")
    .action(run);
}

async function run(flags: Flags): Promise<void> {
  const wanted = wantedOf(flags.criterion, flags.target);
  if (wanted.length !== 1) throw new UserError("compress depth takes one --criterion and one --target");
  const names = await namesOf(flags.model);
  const checkpoint = await openCheckpoint(flags.model);
  try {
    const calibration = await readCalibration(checkpoint, flags);
    const { evaluation, remove } = flags;
    const folder = join(artifactsFolder(), "importance");
    const wish = { checkpoint, calibration, wanted, evaluation, removals: remove, folder, output: process.stderr };
    for await (const measured of measureImportance(wish)) {
      const options = { checkpoint, names, id: flags.id, measured, calibration, evaluation, remove };
      const { artifact, units } = rankedArtifact(options);
      process.stdout.write(`removes ${units.map(labelOf).join(" ")}\n`);
      await store(artifact, flags);
    }
  } finally {
    await checkpoint.close();
  }
}
