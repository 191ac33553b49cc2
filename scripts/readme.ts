// Writes the table of variants into README.md from the catalogue: `npm run readme`. A test fails when the two differ.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { compileCatalogue } from "../src/variants/catalogue.ts";
import { catalogueFileSchema } from "../src/variants/catalogue-file.ts";
import { catalogueFile, root } from "./build/paths.ts";

const START = "<!-- variants: written by `npm run readme` -->";
const END = "<!-- /variants -->";
export const readmeFile = join(root, "README.md");

/** README's text with its table of variants as the catalogue has it now. */
export async function withVariants(readme: string): Promise<string> {
  const catalogue = compileCatalogue(catalogueFileSchema.parse(JSON.parse(await readFile(catalogueFile, "utf8"))));
  const rows = [...catalogue.values()].map(({ recipe, plan: { slots, kvSlots, costs } }) => {
    const mlps = slots.filter((slot) => slot.mlp).length;
    const cells = [
      `\`${recipe.id}\``,
      `${kvSlots} + ${mlps}`,
      (costs.weightBytes / 1e6).toFixed(1),
      (costs.multiplyAdds / 1e6).toFixed(1),
      (costs.kvBytes / 1024).toFixed(1),
      recipe.status,
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

if (process.argv[1] === import.meta.filename) {
  await writeFile(readmeFile, await withVariants(await readFile(readmeFile, "utf8")));
}
