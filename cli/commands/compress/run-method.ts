// What the commands that change weights share: their options, and the way from a source to an artifact.
import type { Command } from "commander";
import { openWork } from "../../../compress/apply/kept.ts";
import { artifactOf, type Description, openSource, type Source } from "../../../compress/apply/source.ts";
import { readCalibration } from "../../../compress/calibration.ts";
import type { Tokens } from "../../../compress/forward/forward.ts";
import { type Changes, layersOf, type Subject } from "../../../compress/methods/models.ts";
import { type ArtifactFlags, addArtifactOptions, store } from "../../artifact-options.ts";
import { addTextOptions, type TextFlags, whole } from "../../calibration-options.ts";
import { createProgress } from "../../progress.ts";

export interface MethodFlags extends ArtifactFlags {
  readonly model: string;
  readonly from?: string;
}

export type CalibratedFlags = MethodFlags & TextFlags;

export interface SeedFlags {
  readonly seed: number;
}

const RESUME = "\nThe same command gives the same bytes, and goes on where a run was cut off.";

export const addMethodOptions = (command: Command): Command =>
  addArtifactOptions(command)
    .option("--model <source>", "a checkpoint: a base model's id, a file or a folder", "smollm2-135m")
    .option("--from <variant>", "start from this variant, whose changes are kept, in place of --model")
    .addHelpText("after", RESUME);

export const addCalibratedOptions = (command: Command): Command => addTextOptions(addMethodOptions(command));

export const addSeedOption = (command: Command): Command =>
  command.option("--seed <n>", "of the random start of the factorization", whole, 1);

export interface Method<Options extends Description["arguments"]> {
  readonly name: string;
  readonly options: Options;
  readonly seed?: number | undefined;
  describe(changes: Changes): Pick<Description, "suffix" | "title" | "origin" | "status">;
}

export interface Run {
  readonly source: Source;
  readonly subject: Subject;
}

/** Runs a method that needs no calibration. */
export const runPlain = <Options extends Description["arguments"]>(
  flags: MethodFlags,
  method: Method<Options>,
  run: (run: Run) => Promise<Changes>,
): Promise<void> => perform(flags, method, undefined, ({ source, subject }) => run({ source, subject }));

/** Runs a method over calibration text. */
export const runCalibrated = <Options extends Description["arguments"]>(
  flags: CalibratedFlags,
  method: Method<Options>,
  run: (run: Run & { readonly tokens: Tokens }) => Promise<Changes>,
): Promise<void> => perform(flags, method, flags, run);

async function perform<Options extends Description["arguments"]>(
  flags: MethodFlags,
  { name, options, seed, describe }: Method<Options>,
  calibrated: CalibratedFlags | undefined,
  run: (run: Run & { readonly tokens: Tokens }) => Promise<Changes>,
): Promise<void> {
  const source = await openSource(flags.model, flags.from);
  try {
    const { checkpoint, slots } = source;
    const calibration = calibrated && (await readCalibration(checkpoint, calibrated));
    const tokens = calibration?.tokens ?? { sequences: 0, length: 0, ids: new Int32Array(0) };
    const { sequences, length } = tokens;
    const given = {
      ...options,
      ...(calibration ? { sequences, length, text: calibration.name } : {}),
      ...(calibrated?.sample === "start" ? { sample: "start" } : {}),
    };
    const work = openWork([name, given, seed ?? 0, checkpoint.digest, slots, calibration?.digest ?? ""]);
    const { done, end } = createProgress(calibration ? slots.length : layersOf(slots).length);
    const onLayer = (layer: number): void => done(() => `layer ${layer}${work.resumed() ? ", resumed" : ""}`);
    const changes = await run({ source, subject: { checkpoint, slots, kept: work, onLayer }, tokens });
    end();
    const description = { id: flags.id, method: name, arguments: given, calibration: calibration?.digest, seed };
    await store(artifactOf(source, changes, { ...description, ...describe(changes) }), flags);
    await work.remove();
  } finally {
    await source.checkpoint.close();
  }
}
