// What a command of `franken` is: one file in cli/commands and one line in the table of cli/commands/index.ts.
import type { Command } from "commander";

export interface FrankenCommand {
  readonly name: string;
  /** One line for `franken --help`. */
  readonly summary: string;
  /** Loads what the command needs, which may take a second, and says what its arguments and options are. */
  load(): Promise<{ readonly define: (command: Command) => void | Promise<void> }>;
}

/** Adds commands to their parent; only the one that runs is loaded. */
export async function addCommands(
  parent: Command,
  commands: readonly FrankenCommand[],
  wanted: string | undefined,
): Promise<void> {
  for (const { name, summary, load } of commands) {
    const command = parent.command(name).description(summary);
    if (name === wanted) await (await load()).define(command);
  }
}
