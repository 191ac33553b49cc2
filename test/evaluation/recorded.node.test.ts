// The committed scores against fp32 arithmetic on the same weights.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { root } from "../../build/paths.ts";
import { readCatalogue } from "../../evaluation/offline/built.ts";
import { parseRecordedScore, type RecordedScore } from "../../evaluation/recorded.ts";
import { variantDigest } from "../../src/variants/digest.ts";

const read = async (task: string, variant: string): Promise<RecordedScore> =>
  parseRecordedScore(JSON.parse(await readFile(join(root, "scores", task, `${variant}.json`), "utf8")));
const recorded = async (task: string): Promise<RecordedScore[]> =>
  Promise.all((await readdir(join(root, "scores", task))).map((name) => read(task, name.replace(/\.json$/, ""))));

/** transformers and PyTorch in fp32 on the dequantized weights: acc and acc_norm of the sample in percent, word perplexity of 20 pages. */
const REFERENCE = {
  "smollm2-135m-attn-drop-10": [29.0, 34.9, 74.703],
  "smollm2-135m-mlp-drop-2": [33.0, 38.3, 54.382],
  "smollm2-135m-block-drop-4": [30.2, 34.4, 70.861],
  "smollm2-135m-franken-mid-expansion-with-repeats": [26.8, 29.3, 68_313],
} as const;

it("the base has the reference's HellaSwag within 1.2 points, and its word perplexity within 1 %", async () => {
  const { metrics, count } = await read("hellaswag", "smollm2-135m");
  expect(count).toBe(1000);
  expect(Math.abs(100 * (metrics.acc?.value ?? 0) - 34.1)).toBeLessThan(1.2);
  expect(Math.abs(100 * (metrics.acc_norm?.value ?? 0) - 40.8)).toBeLessThan(1.2);
  const pages = await read("wikitext", "smollm2-135m");
  expect(pages.count).toBe(62);
  expect((pages.metrics.word_perplexity?.value ?? 0) / 33.977).toBeLessThan(1.008);
  expect((pages.metrics.word_perplexity?.value ?? 0) / 33.977).toBeGreaterThan(0.99);
});

it("the base decides otherwise than fp32 on at most 25 items in 1,000", async () => {
  const { results } = await read("hellaswag", "smollm2-135m");
  const file = new URL("../fixtures/reference/hellaswag-choices.json", import.meta.url);
  const { rows } = JSON.parse(await readFile(file, "utf8")) as { rows: [number, number, number][] };
  const other = rows.filter(([item, , choiceNorm]) => results.get(item)?.choice_norm !== choiceNorm);
  expect(rows.length).toBeGreaterThan(200);
  expect(other.length / rows.length).toBeLessThanOrEqual(0.025);
});

it.each(Object.entries(REFERENCE))("%s has the reference's scores", async (variant, [acc, accNorm, perplexity]) => {
  const { metrics } = await read("hellaswag", variant);
  expect(Math.abs(100 * (metrics.acc?.value ?? 0) - acc)).toBeLessThan(1.2);
  expect(Math.abs(100 * (metrics.acc_norm?.value ?? 0) - accNorm)).toBeLessThan(1.2);
  const pages = await read("wikitext", variant);
  expect(pages.count).toBe(20);
  // Where perplexity is in the ten thousands, 8-bit arithmetic moves it by more.
  const bound = perplexity > 1000 ? 0.05 : 0.01;
  expect(Math.abs((pages.metrics.word_perplexity?.value ?? 0) / perplexity - 1)).toBeLessThan(bound);
});

it("every recorded score is of a variant that the catalogue has, as it computes now", async () => {
  const catalogue = await readCatalogue();
  const all = [...(await recorded("hellaswag")), ...(await recorded("wikitext"))];
  expect(all.length).toBeGreaterThanOrEqual(catalogue.size + 11);
  for (const { variant, digests } of all) {
    const plan = catalogue.get(variant)?.plan;
    expect(plan && variantDigest(plan), variant).toBe(digests.variant);
  }
});
