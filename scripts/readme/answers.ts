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

export interface VariantsPage {
  /** All variants that ship, as a table of Markdown. */
  readonly table: string;
  readonly standings: Standings;
  readonly recorded: readonly RecordedScore[];
  /** The prompts whose answers are shown. */
  readonly prompts: readonly string[];
}

export function variantsPage({ table, standings, recorded, prompts }: VariantsPage): string {
  const pictures = PICTURES.map(({ file, loss }) => `![${loss}](${file.replace("docs/", "")})`);
  const sections = prompts.map((prompt, item) => section(prompt, item, answersTo(item, standings, recorded)));
  return `# Variants

What each variant computes, what it scores and what it says.

Written by \`npm run readme\` from the recipes and from \`scores/\`. All variants run from the one resident copy of the
weights. The drop orders come from the cosine similarity of each sublayer's input and output
([compress](compress.md)). The Franken configurations are those of
[Franken-LLaMA](https://github.com/AngeloGalav/franken-llama) as its code runs them, carried from 32 to 30 layers.

${table}

The _status_ follows from the recorded scores (\`scripts/status.ts\`):

- \`stable\` is meant for use. The word perplexity on WikiText-2 is at most 1.5 times the base's on the same pages,
  HellaSwag is measured, and no other variant has scores as good and predicted times as short, and one of these better.
- \`research\` is kept to study. That perplexity is over 4 times the base's, or not measured. The text of such a
  variant is broken, as far as anyone knows: HellaSwag alone does not tell broken text from simple text.
- \`experimental\` is every other variant. It is visibly worse than the base.

## Scores

Measured on the engine that serves, without variants of the status \`research\`. Each column is over the items that all
its variants were measured on; ± is the standard error. Decode times are those that the router begins with, fitted to
the machine of the [table of speeds](engine.md#speed).

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
