// Options of every command that runs a model over calibration text.
import { type Command, InvalidArgumentError, Option } from "commander";
import { SAMPLES, type Sample } from "../compress/calibration.ts";

export interface TextFlags {
  readonly text?: string;
  readonly sequences: number;
  readonly length: number;
  readonly sample: Sample;
}

export interface CalibrationFlags extends TextFlags {
  readonly model: string;
  readonly evaluation: number;
  readonly remove: number;
}

/** For options that are a whole number above 0. */
export function positive(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError("It must be a whole number above 0.");
  return Number(text);
}

/** For options that are a whole number, 0 or more. */
export const whole = (text: string): number => (text === "0" ? 0 : positive(text));

export const addTextOptions = (command: Command): Command =>
  command
    .option("--text <file>", "calibration text, plain or gzip (default: data/calibration.jsonl.gz)")
    .option("--sequences <n>", "calibration sequences", positive, 128)
    .option("--length <n>", "tokens of each", positive, 512)
    .addOption(
      new Option("--sample <where>", "spread over the text, or one after the other from its start")
        .choices(SAMPLES)
        .default("spread"),
    );

/** @param remove `units`: adds `--remove` as a number; `grid`: the command has a list of its own */
export function addCalibrationOptions(command: Command, remove: "units" | "grid" = "units"): Command {
  addTextOptions(
    command.option("--model <source>", "a checkpoint: a base model's id, a file or a folder", "smollm2-135m"),
  ).option("--evaluation <n>", "of those, how many a perplexity is measured on", positive, 4);
  if (remove === "units") command.option("--remove <n>", "units that are removed, or a search removes", positive, 6);
  return command;
}
