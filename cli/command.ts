// What a command of `franken` is: one file in cli/commands and one line in the table of cli/main.ts.
import type { Command } from "commander";

export interface FrankenCommand {
  readonly name: string;
  /** One line for `franken --help`. */
  readonly summary: string;
  /** Loads what the command needs, which may take a second, and says what its arguments and options are. */
  load(): Promise<{ readonly define: (command: Command) => void }>;
}
