// docs/variants.md: the table of what is recorded of the variants, and their first answers side by
// side.

import { root } from "../../build/paths.ts";
import { type RecordedScore, SOURCES } from "../../evaluation/index.ts";
import { readShipped as readText } from "../../evaluation/offline/texts.ts";
import { jsonLines } from "../../evaluation/task.ts";
import { variantDigest } from "../../src/variants/index.ts";
import { PICTURES } from "./pareto.ts";
import { type Standings, standingsTable } from "./standing.ts";

const SHOWN = 20;

interface Answer {
  readonly variant: string;
  readonly text: string;
  readonly ended: boolean;
}

/** What users ask in the held chats, the first ones. */
export async function readPrompts(): Promise<string[]> {
  const text = Buffer.from(await readText(SOURCES.chats, root)).toString("utf8");
  return jsonLines<{ readonly user: string }>(text)
    .slice(0, SHOWN)
    .map(({ user }) => user);
}

export function variantsPage(
  standings: Standings,
  recorded: readonly RecordedScore[],
  prompts: readonly string[],
): string {
  const pictures = PICTURES.map(({ file, loss }) => `![${loss}](${file.replace("docs/", "")})`);
  const sections = prompts.map((prompt, item) => section(prompt, item, answersTo(item, standings, recorded)));
  return `# Variants: what they take, score and say

Written by \`npm run readme\` from \`scores/\`. Variants of the status \`research\` are left out.

## Scores

Measured on the engine that serves. Each column is over the items that all its variants were measured on; ± is the standard error. Decode
times are those that the router begins with, fitted to the machine of README's table of speeds.

${standingsTable(standings)}

${pictures.join("\n\n")}

## The first twenty answers

The first twenty of the held prompts (\`data/chats.jsonl.gz\`), unpicked, and what each variant answers at temperature 0 within 400 tokens
(\`npm run eval -- --task chat-answers\`), the base first.

${sections.join("\n\n")}
`;
}

function answersTo(item: number, { rows }: Standings, recorded: readonly RecordedScore[]): Answer[] {
  return rows.flatMap(({ variant }) => {
    const digest = variantDigest(variant.plan);
    const score = recorded.find(({ task, digests }) => task === "chat-answers" && digests.variant === digest);
    const result = score?.results.get(item);
    if (!result) return [];
    return [{ variant: variant.recipe.id, text: `${result.answer}`, ended: result.ended === 1 }];
  });
}

function section(prompt: string, item: number, answers: readonly Answer[]): string {
  const rows = answers.map(
    ({ variant, text, ended }) => `| \`${variant}\` | ${inTable(text)}${ended ? "" : " _(cut off)_"} |`,
  );
  const table = rows.length > 0 ? ["| | |", "|---|---|", ...rows].join("\n") : "No answer is recorded.";
  return `### ${item + 1}\n\n> ${inTable(prompt)}\n\n${table}`;
}

/** Text as it is, in one cell of a table. */
const inTable = (text: string): string =>
  text
    .trim()
    .replace(/[\\`*_[\]<>|~#$]/g, "\\$&")
    .replaceAll("&", "&amp;")
    .replace(/\s*\n/g, "<br>");
