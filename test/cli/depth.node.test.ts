// The commands of depth as a user gives them, on the base that ships and a short text.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { define as franken } from "../../cli/commands/compress/franken.ts";
import { define as skip } from "../../cli/commands/compress/skip.ts";
import { define as importance } from "../../cli/commands/importance.ts";
import { slotsKey } from "../../compress/importance/removal.ts";
import { folder, inOwnFolder, recipe, run } from "./commands.ts";

inOwnFolder();

const layers = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, i) => `${from + i}am`).join(" ");

it("runs layers in an order of the user's own", async () => {
  await run(franken, "0-1, 4x2", "--id", "mine");
  const { slots, provenance } = await recipe("mine");
  expect(slotsKey(slots)).toBe("0am 1am 4am 4am");
  expect(provenance).toMatchObject({ method: "franken", arguments: { expression: "0-1,4x2" } });
  await expect(run(franken, "0-1", "--id", "mine")).rejects.toThrow(/mine exists with other content.*--force/);
  await expect(run(franken, "0-30")).rejects.toThrow(/there is no layer 30: the model has 0 to 29/);
  await expect(run(franken, "0", "--id", "No Id")).rejects.toThrow(/id: use lower-case letters/);
  await expect(run(franken, "0", "--id", "auto")).rejects.toThrow(/auto is the model that chooses/);
});

it("skips later sublayers", async () => {
  await run(skip, "--target", "mlp", "--count", "2");
  const { slots } = await recipe("smollm2-135m-later-mlp-skip-2");
  expect(slotsKey(slots)).toBe(`${layers(0, 26)} 27a 28a 29am`);
  await expect(run(skip, "--count", "31")).rejects.toThrow(/more than the model's 30 layers/);
});

it("says what is wrong with what it is given", async () => {
  const text = join(folder(), "text");
  await writeFile(text, "A line.\n");
  await expect(run(importance, "--text", text)).rejects.toThrow(/text has \d+ tokens, but 128 sequences of 512 need/);
  await expect(run(importance, "--criterion", "taylor")).rejects.toThrow(/--criterion taylor: there are similarity/);
  await expect(run(importance, "--model", "nobody")).rejects.toThrow(/nobody/);
  await expect(run(importance, "--sequences", "0")).rejects.toThrow(/must be a whole number above 0/);
});
