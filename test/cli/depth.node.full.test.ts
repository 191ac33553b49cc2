// Ranking and removing on the real model, as a user does it.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { define as depth } from "../../cli/commands/compress/depth.ts";
import { define as importance } from "../../cli/commands/importance.ts";
import { folder, inOwnFolder, recipe, run } from "./commands.ts";

inOwnFolder();

it("ranks, removes what ranks first, and gives the same recipe again", async () => {
  const short = ["--sequences", "1", "--length", "32", "--evaluation", "1"];
  const out = join(folder(), "reports");
  await run(importance, ...short, "--criterion", "similarity,angular", "--target", "block", "--out", out);
  const report = JSON.parse(await readFile(join(out, "similarity-block.json"), "utf8"));
  expect(new Set(report.order)).toEqual(new Set(Array.from({ length: 30 }, (_, i) => `${i}`)));
  expect((await readdir(out)).sort()).toEqual([
    ...["angular-block.json", "angular-block.svg", "similarity-block.json", "similarity-block.svg", "work"],
  ]);

  await run(depth, ...short, "--target", "block", "--remove", "3");
  const id = "smollm2-135m-similarity-block-drop-3";
  const first = await recipe(id);
  const kept = new Set(first.slots.map(({ layer }) => `${layer}`));
  expect(report.order.slice(0, 3).some((layer: string) => kept.has(layer))).toBe(false);
  expect(kept.size).toBe(27);
  expect(first.provenance?.calibration).toBe(report.calibration.digest);
  await run(depth, ...short, "--target", "block", "--remove", "3");
  expect(await recipe(id)).toEqual(first);
  await expect(run(depth, ...short, "--target", "block", "--remove", "31")).rejects.toThrow(
    /--remove 31: this criterion can remove 1 to 30 layers/,
  );
});
