// docs/cli.md: what each command prints for --help.
import { Command } from "commander";
import type { FrankenCommand } from "../../cli/command.ts";
import { METHODS } from "../../cli/commands/compress.ts";
import { COMMANDS } from "../../cli/commands/index.ts";
import { helpText } from "../../cli/eval/options.ts";
import type { Catalogue } from "../../src/variants/index.ts";

const COLUMNS = 96;

const HEAD = `# Command line

\`npx franken\` makes variants and \`npm run eval\` measures them.

What every command prints for \`--help\`. [Configuration](configuration.md) has the variables that the
commands read. Written by \`npm run readme\`.
`;

export async function commandLinePage(catalogue: Catalogue): Promise<string> {
  const sections: string[] = [];
  for (const command of COMMANDS) {
    if (command.name === "compress") {
      for (const method of METHODS) sections.push(...(await sectionsOf("franken compress", method)));
    } else sections.push(...(await sectionsOf("franken", command)));
  }
  return [HEAD, ...sections, section("npm run eval", helpText(catalogue))].join("\n");
}

async function sectionsOf(parent: string, { name, summary, load }: FrankenCommand): Promise<string[]> {
  let help = "";
  const command = new Command(`${parent} ${name}`)
    .description(summary)
    .helpCommand(false)
    .configureHelp({ helpWidth: COLUMNS })
    .configureOutput({ writeOut: (text) => (help += text) });
  await (await load()).define(command);
  return (command.commands.length > 0 ? command.commands : [command]).map((leaf) => {
    help = "";
    // Not `helpInformation`, which leaves out what was added with `addHelpText`.
    leaf.outputHelp();
    return section(leaf === command ? command.name() : `${command.name()} ${leaf.name()}`, help);
  });
}

const section = (title: string, help: string): string => `## ${title}\n\n\`\`\`text\n${help.trimEnd()}\n\`\`\`\n`;
