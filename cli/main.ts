// The command line: `npx franken COMMAND`. A command's module is loaded only when it is the one that runs.
import { Command } from "commander";
import { UserError } from "../formats/error.ts";
import { VERSION } from "../src/version.ts";
import { addCommands } from "./command.ts";
import { COMMANDS } from "./commands/index.ts";

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
