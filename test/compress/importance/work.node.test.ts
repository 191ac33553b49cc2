import { appendFile, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openWorkLog } from "../../../compress/importance/work.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "franken-work-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const open = (...digests: string[]) => openWorkLog<number>(folder, "numbers", digests);

it("gives back what was kept under the same digests, the line that was cut off left out", async () => {
  const log = open("a");
  log.add("one", 1);
  log.add("one", 2);
  const [file] = await readdir(join(folder, "work"));
  await appendFile(join(folder, "work", file as string), '{"key": "two", "val');
  const again = open("a");
  expect([again.get("one"), again.get("two")]).toEqual([1, undefined]);
  again.add("two", 2);
  expect([open("a").get("one"), open("a").get("two"), open("b").get("one")]).toEqual([1, 2, undefined]);
});

it("names the file that can't be written, and says what to do", async () => {
  const log = open("a");
  await rm(join(folder, "work"), { recursive: true });
  const problem = /results could not be kept in .*work.numbers-\w+\.jsonl: .*give the same command again/;
  expect(() => log.add("one", 1)).toThrow(problem);
  await writeFile(join(folder, "work"), "a file where the folder should be");
  expect(() => open("a")).toThrow(problem);
});
