import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { readmeFile, withVariants } from "../../scripts/readme.ts";

it("README's table of variants is the catalogue's: run `npm run readme` when this fails", async () => {
  const readme = await readFile(readmeFile, "utf8");
  expect(await withVariants(readme)).toBe(readme);
});
