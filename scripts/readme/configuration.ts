// docs/configuration.md: every variable with its unit, default and effect, as src/config.ts has
// them.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { z } from "zod";
import { root } from "../../build/paths.ts";
import { commandVariables, gatewayVariables, replicaVariables, VARIABLE_INFO } from "../../src/config.ts";

interface Program {
  readonly title: string;
  readonly about: string;
  readonly variables: z.ZodObject;
  /** A Worker's configuration file, whose values stand in place of the defaults. */
  readonly config?: string;
}

const PROGRAMS: readonly Program[] = [
  {
    title: "Gateway",
    about: "`[vars]` of wrangler.toml and secrets of the gateway Worker. `NAME=VALUE npm start` sets one for a run.",
    variables: gatewayVariables,
    config: "wrangler.toml",
  },
  {
    title: "Replica",
    about: "`[vars]` of wrangler.replica.toml. `NAME=VALUE npm start` sets one for a run.",
    variables: replicaVariables,
    config: "wrangler.replica.toml",
  },
  {
    title: "Commands",
    about: "Environment of `npm start`, the build, `npm run eval` and `npx franken`.",
    variables: commandVariables,
  },
];

const HEAD = `# Configuration

Every variable that the service and its commands read. A variable that is unset or blank has its default. A wrong value
is refused with one line that names the variable and what is allowed: by \`npm start\` before anything starts, and by a
deployed Worker at its first request. A wrong \`SCORES_…\` value stops only the monitor, with a line in the log.

<!-- Written by \`npm run readme\` from src/config.ts. -->
`;

export async function configurationPage(): Promise<string> {
  const sections = await Promise.all(PROGRAMS.map(section));
  return `${[HEAD, ...sections].join("\n")}`;
}

async function section({ title, about, variables, config }: Program): Promise<string> {
  const set = config ? await valuesIn(config) : new Map<string, string>();
  const columns = ["variable", "unit", "default", ...(config ? [config] : []), "allowed", "effect"];
  const rows = Object.entries(variables.shape as Record<string, z.ZodType>).map(([name, field]) => {
    const info = VARIABLE_INFO.get(field);
    if (!info) throw new Error(`src/config.ts says nothing of ${name}`);
    const { unit = "", fallback, allowed, effect } = info;
    const cells = [`\`${name}\``, unit, fallback, ...(config ? [set.get(name) ?? ""] : []), allowed, effect];
    return row(cells.map((cell) => cell.replaceAll(/[|*]/g, "\\$&")));
  });
  return [`## ${title}`, "", about, "", row(columns), row(columns.map(() => "---")), ...rows, ""].join("\n");
}

const row = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;

/** What a Worker's configuration file sets. */
async function valuesIn(file: string): Promise<Map<string, string>> {
  const toml = await readFile(join(root, file), "utf8");
  const vars = /^\[vars\]$(.*?)^\[/ms.exec(toml)?.[1] ?? "";
  return new Map([...vars.matchAll(/^(\w+) = "(.*)"$/gm)].map(([, name, value]) => [name as string, value as string]));
}
