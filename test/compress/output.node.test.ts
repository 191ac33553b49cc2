import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type Output, putOutput } from "../../compress/output.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "franken-output-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const file = (text: string): Output => ({ kind: "file", chunks: [Buffer.from(text)] });
const files = (...names: string[]): Output => ({
  kind: "folder",
  files: new Map(names.map((name) => [name, [Buffer.from(name)]])),
});

it("writes a file or a folder, making what lies above", async () => {
  await putOutput(join(folder, "a/b/c.txt"), file("x"));
  await putOutput(join(folder, "d"), files("one", "two"));
  expect(await readFile(join(folder, "a/b/c.txt"), "utf8")).toBe("x");
  expect(await readdir(join(folder, "d"))).toEqual(["one", "two"]);
});

it("replaces what is there only by force", async () => {
  const path = join(folder, "out");
  await mkdir(path);
  await putOutput(path, files("one"));
  await expect(putOutput(path, files("two"))).rejects.toThrow("is there already: choose another --out");
  expect(await readdir(path)).toEqual(["one"]);
  await putOutput(path, files("two"), { force: true });
  expect(await readdir(path)).toEqual(["two"]);
  await putOutput(path, file("now a file"), { force: true });
  expect(await readFile(path, "utf8")).toBe("now a file");
});

it.each([
  true,
  false,
])("leaves what was there, and nothing else, when the disk is full (replacing: %s)", async (replacing) => {
  const path = join(folder, "out");
  if (replacing) await writeFile(path, "old");
  const full = Object.assign(new Error("no space"), { code: "ENOSPC" });
  const failing = putOutput(path, files("one", "two"), { force: true, write: () => Promise.reject(full) });
  await expect(failing).rejects.toThrow("the disk is full. Nothing of it is left");
  expect(await readdir(folder)).toEqual(replacing ? ["out"] : []);
  if (replacing) expect(await readFile(path, "utf8")).toBe("old");
});

it("leaves nothing when what is to be written cannot be made", async () => {
  const chunks = (function* () {
    yield Buffer.from("half");
    throw new Error("cut off");
  })();
  await expect(putOutput(join(folder, "out"), { kind: "file", chunks })).rejects.toThrow("cut off");
  expect(await readdir(folder)).toEqual([]);
});

it("removes what a process that is no more left behind", async () => {
  await mkdir(join(folder, ".franken-tmp-999999999-x"));
  await mkdir(join(folder, `.franken-tmp-${process.pid}-y`));
  await mkdir(join(folder, ".tmp-999999999-z"));
  await putOutput(join(folder, "out"), file("x"));
  expect((await readdir(folder)).sort()).toEqual([`.franken-tmp-${process.pid}-y`, ".tmp-999999999-z", "out"].sort());
});
