// What the build finds again on the disk: whole, stale or damaged outputs, and steps that were interrupted.
import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { refresh, type Step } from "../../build/steps.ts";

let folder: string;
let runs = 0;
let step: Step;

beforeEach(async () => {
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
  folder = await mkdtemp(join(tmpdir(), "franken-steps-"));
  runs = 0;
  const [input, output] = [join(folder, "input"), join(folder, "output")];
  await writeFile(input, "one");
  step = {
    name: "made-up",
    inputs: [input],
    outputs: [output],
    async run() {
      runs++;
      await mkdir(output, { recursive: true });
      // As the weights step does: what has its name is kept.
      for (const name of ["a", "b"]) {
        await writeFile(join(output, name), `${await readFile(input, "utf8")} ${name}`, { flag: "wx" }).catch(() => {});
      }
      return "made";
    },
  };
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

const build = (): Promise<void> => refresh(step, join(folder, "stamps"));
const made = (): Promise<string> => readFile(join(folder, "output/b"), "utf8");

it("runs a step once, and again when its input changes", async () => {
  await build();
  await build();
  expect(runs).toBe(1);
  await writeFile(join(folder, "input"), "two");
  await build();
  expect(runs).toBe(2);
});

it.each<[string, (path: string) => Promise<void>]>([
  ["has another byte", (path) => writeFile(path, "one c")],
  ["is cut", (path) => truncate(path, 2)],
  ["is deleted", (path) => rm(path)],
])("makes an output anew that %s", async (_, damage) => {
  await build();
  await damage(join(folder, "output/b"));
  await build();
  expect(await made()).toBe("one b");
  await build();
  expect(runs).toBe(2);
});

it("leaves files alone that it did not write", async () => {
  await build();
  await writeFile(join(folder, "output/notes"), "mine");
  await build();
  expect(runs).toBe(1);
});

it("takes nothing of an interrupted step for whole", async () => {
  await build();
  const interrupted: Step = {
    ...step,
    async run() {
      await writeFile(join(folder, "output/b"), "tw");
      throw new Error("interrupted");
    },
  };
  await writeFile(join(folder, "input"), "two");
  await expect(refresh(interrupted, join(folder, "stamps"))).rejects.toThrow("interrupted");
  await writeFile(join(folder, "input"), "one");
  await rm(join(folder, "output"), { recursive: true });
  await build();
  expect(runs).toBe(2);
  expect(await made()).toBe("one b");
});

it("takes a stamp that was cut off for none", async () => {
  await build();
  await truncate(join(folder, "stamps/made-up"), 20);
  await build();
  expect(runs).toBe(2);
});
