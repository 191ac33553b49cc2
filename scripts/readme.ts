// `npm run readme`: writes what follows from the catalogue as it was built last and from scores/. Into the shipped recipes the status that
// their scores give them, into README.md the table of variants; NOTICE; in docs/ the pages on variants, papers, errors, configuration and the command line, and the
// pictures. A test fails where any differs.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PAPERS } from "../bench/papers/index.ts";
import { readResults } from "../bench/papers/results.ts";
import { papersPage } from "../bench/papers/tables.ts";
import { readRecipes } from "../build/catalogue.ts";
import { catalogueFile, recipesDir, root } from "../build/paths.ts";
import type { RecordedScore } from "../evaluation/index.ts";
import { readRecorded } from "../evaluation/offline/pack-recorded.ts";
import type { Status } from "../src/variants/index.ts";
import { type Catalogue, catalogueFileSchema, compileCatalogue } from "../src/variants/index.ts";
import { readPrompts, variantsPage } from "./readme/answers.ts";
import { commandLinePage } from "./readme/command-line.ts";
import { configurationPage } from "./readme/configuration.ts";
import { errorsPage } from "./readme/error-codes.ts";
import { notice } from "./readme/notice.ts";
import { PICTURES, pictureOf } from "./readme/pareto.ts";
import { rungsTable, standingsOf } from "./readme/standing.ts";
import { statuses } from "./status.ts";

/** The variants that ship, without a user's own. */
export async function readShipped(): Promise<Catalogue> {
  const shipped = new Set((await readRecipes()).map(({ id }) => id));
  const catalogue = compileCatalogue(catalogueFileSchema.parse(JSON.parse(await readFile(catalogueFile, "utf8"))));
  return new Map([...catalogue].filter(([id]) => shipped.has(id)));
}

/** Each file that is written, by its path from the project's root, with the text that it should have. */
export async function writtenFiles(
  catalogue: Catalogue,
  recorded: readonly RecordedScore[],
): Promise<Map<string, string>> {
  const status = statuses(catalogue, recorded);
  const standings = standingsOf(catalogue, recorded, status);
  const readme = await readFile(join(root, "README.md"), "utf8");
  const table = variantsTable(catalogue, status);
  return new Map([
    ["README.md", between(readme, "rungs", rungsTable(standings))],
    ["NOTICE", await notice()],
    ["docs/cli.md", await commandLinePage(catalogue)],
    ["docs/configuration.md", await configurationPage()],
    ["docs/errors.md", errorsPage()],
    ["docs/papers.md", papersPage(PAPERS.values(), await readResults())],
    ["docs/variants.md", variantsPage({ table, standings, recorded, prompts: await readPrompts() })],
    ...PICTURES.map((picture) => [picture.file, pictureOf(picture, standings)] as const),
  ]);
}

/** A text with what stands between two markers written anew. */
function between(text: string, name: string, content: string): string {
  const [start, end] = [`<!-- ${name}: written by \`npm run readme\` -->`, `<!-- /${name} -->`];
  const [before, rest] = text.split(start);
  const after = rest?.split(end)[1];
  if (after === undefined) throw new Error(`README.md has lost its markers ${start} and ${end}`);
  return `${before}${start}\n${content}\n${end}${after}`;
}

/** The variants as the catalogue has them now. */
function variantsTable(catalogue: Catalogue, status: ReadonlyMap<string, Status>): string {
  const rows = [...catalogue.values()].map(({ recipe, plan: { slots, kvSlots, costs } }) => {
    const mlps = slots.filter((slot) => slot.mlp).length;
    const cells = [
      `\`${recipe.id}\``,
      `${kvSlots} + ${mlps}`,
      (costs.weightBytes / 1e6).toFixed(1),
      (costs.multiplyAdds / 1e6).toFixed(1),
      (costs.kvBytes / 1024).toFixed(1),
      status.get(recipe.id),
    ];
    return `| ${cells.join(" | ")} |`;
  });
  return [
    "| variant | attention + MLP sublayers | weights read a token, MB | multiply-adds a token, M | KV a token at 16 bits, KiB | status |",
    "|---|---|---|---|---|---|",
    ...rows,
  ].join("\n");
}

async function writeStatus(id: string, status: Status): Promise<void> {
  const file = join(recipesDir, `${id}.json`);
  await writeFile(file, (await readFile(file, "utf8")).replace(/^( {2}"status": )"\w+"/m, `$1"${status}"`));
}

if (process.argv[1] === import.meta.filename) {
  const [catalogue, recorded] = [await readShipped(), await readRecorded()];
  for (const [id, value] of statuses(catalogue, recorded)) await writeStatus(id, value);
  for (const [file, text] of await writtenFiles(catalogue, recorded)) await writeFile(join(root, file), text);
}
