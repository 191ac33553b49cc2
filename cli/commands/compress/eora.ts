// `franken compress eora`: a low-rank adapter that makes up for what pruning or quantization changed.
import type { Command } from "commander";
import { eoraModel } from "../../../compress/methods/models.ts";
import { UserError } from "../../../formats/error.ts";
import { MAX_RANK } from "../../../src/variants/index.ts";
import { positive } from "../../calibration-options.ts";
import {
  addCalibratedOptions,
  addSeedOption,
  type CalibratedFlags,
  runCalibrated,
  type SeedFlags,
} from "./run-method.ts";

interface Flags extends CalibratedFlags, SeedFlags {
  readonly rank: number;
}

export function define(command: Command): void {
  addSeedOption(addCalibratedOptions(command))
    .option("--rank <n>", `rank of each linear's factors, at most ${MAX_RANK}`, positive, 32)
    .action((flags: Flags) => {
      const { rank, seed, from } = flags;
      if (rank > MAX_RANK) throw new UserError(`--rank ${rank}: the engine takes adapters up to rank ${MAX_RANK}`);
      if (from === undefined)
        throw new UserError("compress eora needs --from: the masked or quantized variant that it compensates");
      const method = {
        name: "eora",
        options: { rank },
        seed,
        describe: () => ({
          suffix: `eora-${rank}`,
          title: `${from} with its error compensated at rank ${rank}`,
          origin: { source: "EoRA (arXiv 2410.21271)", section: "Algorithm 1" },
          status: "experimental" as const,
        }),
      };
      return runCalibrated(flags, method, async ({ source, subject, tokens }) => {
        const changes = await eoraModel({ ...subject, tokens }, source.original, { rank, seed });
        if (!changes.lowRank?.length)
          throw new UserError(`--from ${from}: it changes no linear, so there is nothing to compensate`);
        return changes;
      });
    });
}
