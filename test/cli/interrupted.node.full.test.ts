// `franken compress gptq` that is stopped in mid-run, by Ctrl-C or by a full disk, and given again.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from "vitest";
import { root } from "../../build/paths.ts";
import { define } from "../../cli/commands/compress/gptq.ts";
import { ggufOutput } from "../../compress/export/gguf.ts";
import { openCheckpoint } from "../../compress/open.ts";
import { putOutput } from "../../compress/output.ts";
import { stackOf } from "../../compress/stack.ts";
import { recipeOf } from "../compress/recipe.ts";
import { tinyCheckpoint, tinyShape } from "../compress/tiny.ts";

const LAYERS = 20;
const ID = "small-gptq-3-32";
let folder: string;
let artifacts: string;
let args: string[];
let said: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "franken-interrupted-"));
  artifacts = join(folder, "artifacts");
  const { tokenizer } = await openCheckpoint("smollm2-135m");
  const layers = new Array(LAYERS).fill({ heads: 4, kvHeads: 2, ffn: 96 });
  const base = { ...tinyCheckpoint({ shape: { ...tinyShape, hidden: 64, vocab: 49_152, layers } }), tokenizer };
  const model = join(folder, "small.gguf");
  await putOutput(model, ggufOutput(await stackOf(recipeOf(layers.map((_, layer) => ({ layer }))), base), "f32"));
  args = ["--model", model, "--bits", "3", "--block", "32", "--sequences", "4", "--length", "32"];
});
afterAll(() => rm(folder, { recursive: true, force: true }));
beforeEach(() => {
  said = "";
  const keep = (text: unknown): boolean => {
    said += text;
    return true;
  };
  for (const stream of [process.stdout, process.stderr]) vi.spyOn(stream, "write").mockImplementation(keep);
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

/** In this process. */
async function run(into: string): Promise<void> {
  vi.stubEnv("FRANKEN_ARTIFACTS", into);
  const command = new Command().exitOverride();
  define(command);
  await command.parseAsync(args, { from: "user" });
}

const there = (path: string): Promise<string[]> => readdir(join(artifacts, path)).catch(() => []);
/** Layers that are kept, of the one run. */
async function kept(): Promise<string[]> {
  const [work = "none"] = await there(".work");
  return (await there(join(".work", work))).filter((name) => /^layer-\d+\.bin$/.test(name));
}
const finalNames = async (): Promise<string[]> => [...(await there("recipes")), ...(await there("tensors"))];

it.each([
  ["SIGTERM", 143, 1],
  ["SIGINT", 130, 3],
] as const)("leaves no artifact when %s stops it, and keeps the layers that are done", async (signal, code, layers) => {
  const child = spawn(process.execPath, [join(root, "bin/franken.mjs"), "compress", "gptq", ...args], {
    cwd: root,
    stdio: "ignore",
    env: { ...process.env, FRANKEN_ARTIFACTS: artifacts },
  });
  const ended = new Promise<number | null>((resolve) => child.on("exit", resolve));
  while (child.exitCode === null && (await kept()).length < layers) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  child.kill(signal);
  expect(await ended).toBe(code);
  expect((await kept()).length).toBeGreaterThanOrEqual(layers);
  expect((await kept()).length).toBeLessThan(LAYERS);
  expect(await finalNames()).toEqual([]);
});

it.skipIf(!existsSync("/dev/full"))(
  "says which layer a full disk has no room for, and keeps those before",
  async () => {
    const before = (await kept()).length;
    const next = `layer-${before + 2}.bin`;
    const [work] = await there(".work");
    await symlink("/dev/full", join(artifacts, ".work", work as string, `${next}.${process.pid}`));
    await expect(run(artifacts)).rejects.toThrow(
      /layer \d+ could not be kept in .+: the disk is full. Make room and give the same command again/,
    );
    expect(await kept()).toHaveLength(before + 2);
    expect(await finalNames()).toEqual([]);
  },
);

it("goes on from there, and gives the bytes of a run that nothing stopped", async () => {
  await run(artifacts);
  expect(said).toContain("resumed");
  expect(await there(".work")).toEqual([]);
  said = "";
  const other = join(folder, "other");
  await run(other);
  expect(said).not.toContain("resumed");
  const recipe = await readFile(join(artifacts, "recipes", `${ID}.json`));
  expect(recipe.equals(await readFile(join(other, "recipes", `${ID}.json`)))).toBe(true);
  expect(await there("tensors")).toEqual(await readdir(join(other, "tensors")));
  expect(await there("tensors")).toHaveLength(7 * LAYERS);
});
