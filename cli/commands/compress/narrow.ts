// `franken compress ffn` and `franken compress flap`: really narrower layers.
import { type Command, Option } from "commander";
import { narrowModel } from "../../../compress/methods/models.ts";
import type { Ranking, StructureScore } from "../../../compress/prune/structure.ts";
import { UserError } from "../../../formats/error.ts";
import { addCalibratedOptions, type CalibratedFlags, runCalibrated } from "./run-method.ts";

interface Flags extends CalibratedFlags {
  readonly sparsity: string;
  readonly score: StructureScore;
  readonly ranking: Ranking;
  readonly bias: boolean;
}

const NOTES = `
FFN widths become multiples of 32. KV groups go with all of their query heads, as many at a time as make a multiple of 32 columns.
Rows of weights are carried over as they are stored; the columns of down are put into new blocks and rounded again.`;

function define(command: Command, name: "ffn" | "flap"): void {
  addCalibratedOptions(command)
    .option("--sparsity <share>", "of the layers' weights that goes", "0.2")
    .addOption(
      new Option("--score <score>", "what is ranked by").choices(["flap", "wanda-sp", "magnitude"]).default("flap"),
    )
    .addOption(
      new Option("--ranking <ranking>", "over all layers, or the same share of each")
        .choices(["global", "layer"])
        .default("global"),
    )
    .option("--no-bias", "leave out the biases that make up for the mean of what goes; only flap has them")
    .addHelpText("after", NOTES)
    .action((flags: Flags) => {
      const { score, ranking } = flags;
      const sparsity = Number(flags.sparsity);
      if (!(sparsity > 0 && sparsity < 1))
        throw new UserError(`--sparsity ${flags.sparsity}: it must be above 0 and below 1`);
      const [attention, bias] = [name === "flap", flags.bias && score === "flap"];
      const percent = Math.round(1000 * sparsity) / 10;
      const method = {
        name,
        options: { sparsity, score, ranking, attention, bias },
        describe: () => ({
          suffix: [score, ...(attention ? [] : ["ffn"]), ...(ranking === "layer" ? ["by-layer"] : []), percent].join(
            "-",
          ),
          title: `${percent} % of the layers' weights removed by ${score}: ${attention ? "KV groups and " : ""}FFN channels`,
          origin: {
            source: "FLAP (arXiv 2312.11983)",
            section: {
              flap: bias ? "WIFV scores and bias compensation" : "WIFV scores",
              "wanda-sp": "the baseline Wanda-sp",
              magnitude: "magnitude, as a baseline",
            }[score],
          },
          status: "experimental" as const,
        }),
      };
      return runCalibrated(flags, method, async ({ subject, tokens }) => {
        const changes = await narrowModel({ ...subject, tokens }, { score, ranking, sparsity, attention, bias });
        if (changes.tensors.length === 0) {
          throw new UserError(`--sparsity ${sparsity} is less than one group or 32 channels: nothing would go`);
        }
        process.stderr.write(`${(100 * changes.sparsity).toFixed(1)} % of the layers' weights go\n`);
        return changes;
      });
    });
}

export const defineFfn = (command: Command): void => define(command, "ffn");
export const defineFlap = (command: Command): void => define(command, "flap");
