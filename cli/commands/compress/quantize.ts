// `franken compress rtn` and `franken compress gptq`.
import { type Command, Option } from "commander";
import { gptqModel, type Part, type QuantizeOptions, roundModel } from "../../../compress/methods/models.ts";
import type { Bits } from "../../../compress/quantize/grid.ts";
import { UserError } from "../../../formats/error.ts";
import {
  addCalibratedOptions,
  addMethodOptions,
  type CalibratedFlags,
  type MethodFlags,
  runCalibrated,
  runPlain,
} from "./run-method.ts";

interface GridFlags {
  readonly bits: string;
  readonly block: string;
  readonly symmetric?: boolean;
  readonly part: Part;
}
interface GptqFlags extends GridFlags {
  readonly actOrder?: boolean;
  readonly damping: string;
}

const NOTES = `
Codes of 2 to 4 bits are served in Q4_1 blocks (linears) and in Q8_0 blocks (embedding and head): the bits that the method counts stand in
the recipe. Linears of 8 bits are served in Q8_0 blocks; all of a model's may be beyond a 128 MB isolate: the service says
how much it needs, and MEMORY_CEILING_MIB=256 npm start allows more.`;

const addGridOptions = (command: Command): Command =>
  command
    .addOption(new Option("--bits <n>", "bits a code").choices(["2", "3", "4", "8"]).default("4"))
    .addOption(new Option("--block <n>", "columns that share a scale").choices(["32", "64"]).default("64"))
    .option("--symmetric", "a scale alone, in place of a scale and a minimum")
    .addOption(
      new Option("--part <part>", "what is quantized; a tied embedding goes with the head")
        .choices(["linears", "head", "both"])
        .default("linears"),
    )
    .addHelpText("after", NOTES);

export function defineRtn(command: Command): void {
  addGridOptions(addMethodOptions(command)).action((flags: MethodFlags & GridFlags) => {
    const options = gridOf(flags);
    return runPlain(flags, methodOf("rtn", "Rounded to nearest", options, {}), ({ subject }) =>
      roundModel(subject, options),
    );
  });
}

export function defineGptq(command: Command): void {
  addGridOptions(addCalibratedOptions(command))
    .option("--act-order", "columns of large inputs first, with grids that are found before")
    .option("--damping <share>", "of the Hessian's mean diagonal", "0.01")
    .action((flags: CalibratedFlags & GptqFlags) => {
      const damping = Number(flags.damping);
      if (!(damping > 0 && damping <= 1))
        throw new UserError(`--damping ${flags.damping}: it must be above 0, at most 1`);
      const actOrder = flags.actOrder ?? false;
      const options = { ...gridOf(flags), actOrder, damping };
      return runCalibrated(flags, methodOf("gptq", "GPTQ", options, { actOrder, damping }), ({ subject, tokens }) =>
        gptqModel({ ...subject, tokens }, options),
      );
    });
}

function gridOf({ bits, block, symmetric, part }: GridFlags): QuantizeOptions {
  // The choices are checked by the option; 8 bits have no room for a minimum.
  const kind = symmetric || bits === "8" ? "symmetric" : "asymmetric";
  return { bits: Number(bits) as Bits, block: Number(block) as 32 | 64, kind, part };
}

function methodOf(
  name: "rtn" | "gptq",
  title: string,
  { bits, block, kind, part }: QuantizeOptions,
  more: { actOrder?: boolean; damping?: number },
) {
  const what = { linears: "linears", head: "output head", both: "linears and output head" }[part];
  const suffix = [
    name,
    bits,
    kind === "symmetric" ? "sym" : "",
    block,
    more.actOrder ? "act" : "",
    part === "linears" ? "" : part,
  ];
  return {
    name,
    options: { bits, block, kind, part, ...more },
    describe: () => ({
      suffix: suffix.filter((item) => item !== "").join("-"),
      title: `${title}: ${what} at ${bits} bits, ${kind}, blocks of ${block}`,
      origin:
        name === "gptq"
          ? { source: "GPTQ (arXiv 2210.17323)", section: "Algorithm 1" }
          : { source: "GPTQ (arXiv 2210.17323)", section: "the baseline RTN" },
      status: bits === 2 ? ("research" as const) : ("experimental" as const),
    }),
  };
}
