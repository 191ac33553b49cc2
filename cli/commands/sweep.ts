// `franken sweep`: makes a grid of variants, scores each on the served engine, and keeps those on the frontier.
import { join } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Provenance } from "../../compress/artifact.ts";
import { namesOf } from "../../compress/base.ts";
import { readCalibration } from "../../compress/calibration.ts";
import { wantedOf } from "../../compress/importance/measure.ts";
import { openCheckpoint } from "../../compress/open.ts";
import { artifactsFolder, readArtifactRecipe, writeArtifact } from "../../compress/store.ts";
import { type Candidate, distinct, ranked, skipped, unchanged } from "../../compress/sweep/candidates.ts";
import { expand } from "../../compress/sweep/expand.ts";
import { COSTS, type Cost, LOSSES, type Loss, type Scored, writeSweep } from "../../compress/sweep/report.ts";
import { openScorer } from "../../compress/sweep/score.ts";
import { addCalibrationOptions, type CalibrationFlags, positive } from "../calibration-options.ts";
import { createProgress, showSteps } from "../progress.ts";
import { runMethod } from "../run-method.ts";

interface Flags extends Omit<CalibrationFlags, "remove"> {
  readonly criterion: string;
  readonly target?: string;
  readonly remove: readonly number[];
  readonly skip?: readonly number[];
  readonly method: readonly string[];
  readonly items: number;
  readonly articles: number;
  readonly cost: Cost;
  readonly loss: Loss;
  readonly force?: boolean;
  readonly out?: string;
}

/** Numbers with commas between. */
function amounts(text: string): number[] {
  const all = text.split(",").map((one) => positive(one.trim()));
  if (new Set(all).size < all.length) throw new InvalidArgumentError("Each number once.");
  return all;
}

export function define(command: Command): void {
  addCalibrationOptions(command, "grid")
    .option("--criterion <list>", "criteria with commas between", "similarity")
    .option("--target <list>", "what is removed: block, attention, mlp, joint", "block,attention")
    .option("--remove <list>", "how many are removed, with commas between", amounts, [2, 4, 6])
    .option("--skip <list>", "and skips of so many later attentions or MLPs", amounts)
    .option(
      "--method <line>",
      "and variants of a method of franken compress, as 'gptq --bits 4,3' (again for another)",
      (line: string, before: readonly string[]) => [...before, line],
      [],
    )
    .option("--items <n>", "HellaSwag items", positive, 100)
    .option("--articles <n>", "held-out articles", positive, 8)
    .addOption(new Option("--cost <cost>", "axis of the frontier").choices(Object.keys(COSTS)).default("bytes"))
    .addOption(new Option("--loss <loss>", "axis of the frontier").choices(Object.keys(LOSSES)).default("perplexity"))
    .option("--force", "replace variants of the same ids that have other content")
    .option("--out <folder>", "where scores, table and plot go (default: artifacts/sweep)")
    .addHelpText("after", "\nThe same command goes on where a run was cut off.")
    .action(run);
}

async function run(flags: Flags): Promise<void> {
  const wanted = wantedOf(flags.criterion, flags.target);
  const folder = flags.out ?? join(artifactsFolder(), "sweep");
  const names = await namesOf(flags.model);
  const checkpoint = await openCheckpoint(flags.model);
  try {
    const calibration = await readCalibration(checkpoint, flags);
    const measure = {
      wanted,
      evaluation: flags.evaluation,
      folder: join(artifactsFolder(), "importance"),
      progress: showSteps,
    };
    const candidates = distinct([
      unchanged({ checkpoint, names }),
      ...(await ranked({ checkpoint, names, calibration, amounts: flags.remove, measure })),
      ...skipped({ checkpoint, names }, flags.skip ?? []),
      ...(await made(flags.method, flags.model)),
    ]);
    const scored = await scoreAll(candidates, { ...flags, folder });
    const { best, table } = await writeSweep({ ...flags, scored, folder });
    process.stdout.write(`${table}\n`);
    for (const { artifact, stored } of best) {
      if (!stored) process.stdout.write(`${(await writeArtifact(artifact, { force: flags.force })).file}\n`);
    }
    process.stdout.write(`${join(folder, "pareto.svg")}\n`);
  } finally {
    await checkpoint.close();
  }
}

/** Variants that methods of `franken compress` make, or have made before. */
async function made(lines: readonly string[], model: string): Promise<Candidate[]> {
  const candidates: Candidate[] = [];
  for (const line of lines) {
    for (const [amount, args] of expand(line).entries()) {
      const from = args.includes("--from") ? [] : ["--model", model];
      const recipe = await readArtifactRecipe(await runMethod([...args, ...from]));
      const artifact = { recipe, tensors: [], provenance: recipe.provenance as Provenance };
      candidates.push({ family: args[0] as string, amount: amount + 1, artifact, stored: true });
    }
  }
  return candidates;
}

async function scoreAll(
  candidates: readonly Candidate[],
  options: { readonly items: number; readonly articles: number; readonly folder: string },
): Promise<Scored[]> {
  const scorer = await openScorer({ ...options, recipes: candidates.map(({ artifact }) => artifact.recipe) });
  const { done, end } = createProgress(candidates.length * scorer.steps);
  const scored: Scored[] = [];
  for (const candidate of candidates) {
    const { id } = candidate.artifact.recipe;
    scored.push({ ...candidate, scores: await scorer.score(id, () => done(() => id)) });
  }
  end();
  return scored;
}
