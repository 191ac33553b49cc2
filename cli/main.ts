// The command line: `npx franken COMMAND`. A command's module is loaded only when it is the one that runs.
import { Command } from "commander";
import { UserError } from "../formats/error.ts";
import { VERSION } from "../src/version.ts";
import { addCommands, type FrankenCommand } from "./command.ts";

const COMMANDS: readonly FrankenCommand[] = [
  {
    name: "import",
    summary: "take in a checkpoint, or a recipe of mergekit, LLM-Drop or PEFT",
    load: () => import("./commands/import.ts"),
  },
  {
    name: "importance",
    summary: "measure how dispensable each layer, attention and MLP is",
    load: () => import("./commands/importance.ts"),
  },
  {
    name: "compress",
    summary: "make a variant: its recipe, and the tensors that it changes",
    load: () => import("./commands/compress.ts"),
  },
  {
    name: "sweep",
    summary: "score a grid of variants and keep the best",
    load: () => import("./commands/sweep.ts"),
  },
  {
    name: "experiment",
    summary: "report on an A/B experiment of a running gateway",
    load: () => import("./commands/experiment.ts"),
  },
  {
    name: "export",
    summary: "write a variant for other programs: recipe, hf, gguf, mergekit, peft",
    load: () => import("./commands/export.ts"),
  },
];

const program = new Command("franken")
  .description("Compress LLaMA checkpoints into variants, score them, and hand them on.")
  .version(VERSION)
  .showHelpAfterError()
  .helpCommand(false);
await addCommands(program, COMMANDS, process.argv[2]);

try {
  await program.parseAsync();
} catch (error) {
  const known = error instanceof UserError;
  process.stderr.write(`franken: ${known ? error.message : (error as Error).stack}\n`);
  process.exitCode = 1;
}
