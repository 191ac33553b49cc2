// `franken importance`: how dispensable each part of a model is, by one criterion or several.
import { join } from "node:path";
import type { Command } from "commander";
import { readCalibration } from "../../compress/calibration.ts";
import { CRITERIA } from "../../compress/importance/criteria.ts";
import { measureImportance, wantedOf } from "../../compress/importance/measure.ts";
import { writeReport } from "../../compress/importance/report.ts";
import { labelOf, TARGETS } from "../../compress/importance/units.ts";
import { openCheckpoint } from "../../compress/open.ts";
import { artifactsFolder } from "../../compress/store.ts";
import { addCalibrationOptions, type CalibrationFlags } from "../calibration-options.ts";
import { showSteps } from "../progress.ts";

interface Flags extends CalibrationFlags {
  readonly criterion: string;
  readonly target?: string;
  readonly out?: string;
}

export function define(command: Command): void {
  const kinds = [...CRITERIA.values()].map(
    ({ id, title, targets }) => `  ${id.padEnd(12)}${title} (${targets.join(", ")})`,
  );
  addCalibrationOptions(command)
    .option("--criterion <list>", "criteria with commas between", "similarity,influence,angular")
    .option("--target <list>", `what is ranked: ${TARGETS.join(", ")}; default: what is usual for each criterion`)
    .option("--out <folder>", "where reports and partial results go (default: artifacts/importance)")
    .addHelpText("after", `\nCriteria:\n${kinds.join("\n")}\n\nThe same command goes on where a run was cut off.`)
    .action(run);
}

async function run(flags: Flags): Promise<void> {
  const wanted = wantedOf(flags.criterion, flags.target);
  const folder = flags.out ?? join(artifactsFolder(), "importance");
  const checkpoint = await openCheckpoint(flags.model);
  try {
    const calibration = await readCalibration(checkpoint, flags);
    const options = { checkpoint, calibration, wanted, folder, progress: showSteps };
    for await (const measured of measureImportance({
      ...options,
      evaluation: flags.evaluation,
      removals: flags.remove,
    })) {
      const [json] = await writeReport({ measured, checkpoint, calibration, folder });
      const order = measured.ranking.order.slice(0, 15).map(labelOf).join(" ");
      process.stdout.write(`${measured.criterion.id} ${measured.target}: ${order}\n  ${json}\n`);
    }
  } finally {
    await checkpoint.close();
  }
}
