import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { readRecorded } from "../../scripts/build/recorded.ts";
import { readmeFile, readShipped, withVariants } from "../../scripts/readme.ts";
import { statuses } from "../../scripts/status.ts";

const catalogue = await readShipped();
const status = statuses(catalogue, await readRecorded());

it("README's table of variants is the catalogue's: run `npm run readme` when this fails", async () => {
  const readme = await readFile(readmeFile, "utf8");
  expect(withVariants(readme, catalogue, status)).toBe(readme);
});

it("each shipped variant has the status that its scores give it: run `npm run readme` when this fails", () => {
  expect(Object.fromEntries([...catalogue].map(([id, { recipe }]) => [id, recipe.status]))).toEqual(
    Object.fromEntries(status),
  );
});
