// `franken compress wanda`: sets weights to 0 by Wanda's score or by magnitude.
import { type Command, Option } from "commander";
import { magnitudeModel, wandaModel } from "../../../compress/methods/models.ts";
import { parsePattern } from "../../../compress/prune/masks.ts";
import { addCalibratedOptions, type CalibratedFlags, type Method, runCalibrated, runPlain } from "./run-method.ts";

interface Flags extends CalibratedFlags {
  readonly pattern: string;
  readonly score: "wanda" | "magnitude";
}

const NOTES = `
The engine multiplies by zeros as by any weight: a mask makes a variant no smaller and no faster.`;

export function define(command: Command): void {
  addCalibratedOptions(command)
    .option(
      "--pattern <n:m|share>",
      "N:M: of every M neighbours along a row N stay (1:8 keeps one of 8, and 7 become 0; also 2:4, 4:8); or the share of each row that becomes 0, as 0.5",
      "2:4",
    )
    .addOption(
      new Option("--score <score>", "what weights are ranked by").choices(["wanda", "magnitude"]).default("wanda"),
    )
    .addHelpText("after", NOTES)
    .action((flags: Flags) => {
      const { pattern, score } = flags;
      const parsed = parsePattern(pattern);
      const method: Method<{ pattern: string; score: string }> = {
        name: "wanda",
        options: { pattern, score },
        describe: () => ({
          suffix: `${score}-${pattern.replace(":", "of")}`,
          title:
            "of" in parsed
              ? `${parsed.keep} of every ${parsed.of} weights kept by ${score}`
              : `${pattern} of the weights masked by ${score}`,
          origin: {
            source: "Wanda (arXiv 2306.11695)",
            section: score === "wanda" ? "equation 1" : "the baseline magnitude pruning",
          },
          status: "research",
        }),
      };
      return score === "magnitude"
        ? runPlain(flags, method, ({ subject }) => magnitudeModel(subject, parsed))
        : runCalibrated(flags, method, ({ subject, tokens }) => wandaModel({ ...subject, tokens }, parsed));
    });
}
