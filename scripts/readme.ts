// `npm run readme`: writes into the shipped recipes the status that their scores give them, and the table of variants into README.md, from
// the catalogue as it was built last. A test fails where either differs.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Catalogue, compileCatalogue } from "../src/variants/catalogue.ts";
import { catalogueFileSchema } from "../src/variants/catalogue-file.ts";
import type { Status } from "../src/variants/recipe.ts";
import { readRecipes } from "./build/catalogue.ts";
import { catalogueFile, recipesDir, root } from "./build/paths.ts";
import { readRecorded } from "./build/recorded.ts";
import { statuses } from "./status.ts";

const START = "<!-- variants: written by `npm run readme` -->";
const END = "<!-- /variants -->";
export const readmeFile = join(root, "README.md");

/** The variants that ship, without a user's own. */
export async function readShipped(): Promise<Catalogue> {
  const shipped = new Set((await readRecipes()).map(({ id }) => id));
  const catalogue = compileCatalogue(catalogueFileSchema.parse(JSON.parse(await readFile(catalogueFile, "utf8"))));
  return new Map([...catalogue].filter(([id]) => shipped.has(id)));
}

/** README's text with its table of variants as the catalogue has it now. */
export function withVariants(readme: string, catalogue: Catalogue, status: ReadonlyMap<string, Status>): string {
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
  const table = [
    "| variant | attention + MLP sublayers | weights read a token, MB | multiply-adds a token, M | KV a token at 16 bits, KiB | status |",
    "|---|---|---|---|---|---|",
    ...rows,
  ].join("\n");
  const [before, rest] = readme.split(START);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error(`README.md has lost its markers ${START} and ${END}`);
  return `${before}${START}\n${table}\n${END}${after}`;
}

async function writeStatus(id: string, status: Status): Promise<void> {
  const file = join(recipesDir, `${id}.json`);
  await writeFile(file, (await readFile(file, "utf8")).replace(/^( {2}"status": )"\w+"/m, `$1"${status}"`));
}

if (process.argv[1] === import.meta.filename) {
  const catalogue = await readShipped();
  const status = statuses(catalogue, await readRecorded());
  for (const [id, value] of status) await writeStatus(id, value);
  await writeFile(readmeFile, withVariants(await readFile(readmeFile, "utf8"), catalogue, status));
}
