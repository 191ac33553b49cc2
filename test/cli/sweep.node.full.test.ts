// A whole sweep as a user gives it: a grid of variants of a small random model, made, scored on the served engine and compared.
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { root } from "../../build/paths.ts";
import { ggufOutput } from "../../compress/export/gguf.ts";
import { importSource } from "../../compress/import/index.ts";
import { openCheckpoint } from "../../compress/open.ts";
import { putOutput } from "../../compress/output.ts";
import { stackOf } from "../../compress/stack.ts";
import { recipeOf } from "../compress/recipe.ts";
import { tinyCheckpoint, tinyShape } from "../compress/tiny.ts";

interface Row {
  readonly id: string;
  readonly nominalBytes: number;
  readonly weightBytes: number;
  readonly perplexity: { readonly value: number };
  readonly onFrontier: boolean;
}

const LAYERS = 2;
const QUANTIZED = "small-rtn-3-32-both";
const [HIDDEN, KV, FFN] = [64, 32, 96];
let folder: string;
let said: string;
let rows: Map<string, Row>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "franken-sweep-"));
  vi.stubEnv("FRANKEN_ARTIFACTS", folder);
  const { tokenizer } = await openCheckpoint("smollm2-135m");
  const layers = new Array(LAYERS).fill({ heads: HIDDEN / 16, kvHeads: KV / 16, ffn: FFN });
  const shape = { ...tinyShape, hidden: HIDDEN, headDim: 16, vocab: 49_152, contextLength: 2048, layers };
  const all = recipeOf(layers.map((_, layer) => ({ layer })));
  await putOutput(
    join(folder, "small.gguf"),
    ggufOutput(await stackOf(all, { ...tinyCheckpoint({ shape }), tokenizer }), "f32"),
  );
  await importSource(join(folder, "small.gguf"));
  const args = [
    ...["sweep", "--model", "small", "--target", "block", "--remove", "1", "--sequences", "4", "--length", "32"],
    ...["--method", "rtn --bits 3 --block 32 --part both"],
    ...["--items", "1", "--articles", "1"],
  ];
  const { stdout } = await promisify(execFile)(process.execPath, [join(root, "bin/franken.mjs"), ...args], {
    cwd: root,
  });
  said = stdout;
  const report = JSON.parse(await readFile(join(folder, "sweep/sweep.json"), "utf8")) as { rows: Row[] };
  rows = new Map(report.rows.map((row) => [row.id, row]));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

const row = (id: string): Row => rows.get(id) as Row;

it("scores the model as it is and every variant of the grid", () => {
  expect([...rows.keys()]).toEqual([...["small", "small-similarity-block-drop-1", QUANTIZED]]);
  for (const { perplexity } of rows.values()) expect(perplexity.value).toBeGreaterThan(1);
});

it("counts codes with their true bits, not with those of the blocks that they are served in", () => {
  const linears = LAYERS * (2 * HIDDEN * HIDDEN + 2 * KV * HIDDEN + 3 * FFN * HIDDEN);
  // Q4_1 has 5 bits a weight, 3-bit codes have a scale and a minimum for 32; Q8_0 has 8.5, against a scale and a zero point of 3 bits.
  const saved = linears * (5 - 3 - 32 / 32) + 49_152 * HIDDEN * (8.5 - 3 - 19 / 32);
  const [base, quantized] = [row("small"), row(QUANTIZED)];
  expect(base.nominalBytes - quantized.nominalBytes).toBe(saved / 8);
  expect(quantized.weightBytes).toBe(base.weightBytes);
  const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
  expect(said).toContain(`| ${megabytes(quantized.nominalBytes)} | ${megabytes(quantized.weightBytes)} |`);
});

it("keeps the variants that none is both smaller and better than, and the recipes of those", async () => {
  const all = [...rows.values()];
  const beaten = (one: Row): boolean =>
    all.some((other) => other.nominalBytes < one.nominalBytes && other.perplexity.value <= one.perplexity.value);
  // The smallest by far: by the bytes that are served it would be none of the smallest.
  expect(row(QUANTIZED).onFrontier).toBe(true);
  for (const one of all.filter(beaten)) expect(one.onFrontier, one.id).toBe(false);
  const recipes = await readdir(join(folder, "recipes"));
  for (const { id, onFrontier } of all) if (onFrontier) expect(recipes).toContain(`${id}.json`);
  expect((await readdir(join(folder, "sweep"))).sort()).toEqual(["pareto.svg", "sweep.json", "sweep.md", "work"]);
});
