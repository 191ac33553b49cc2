// Measures again what scores/ has, on this machine, and holds it to the same numbers: the engine computes the same everywhere.
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { evalFile, root } from "../../build/paths.ts";
import { dataDirectory } from "../../evaluation/offline/texts.ts";
import { parseRecordedScore, recordScore } from "../../evaluation/recorded.ts";

const MINUTES = 60_000;
const BASE = "smollm2-135m";
const data = dataDirectory();
if (!data) console.warn("left out: perplexity of WikiText-2, which is in no folder here (FRANKEN_DATA)");

/** Runs an evaluation of the base and gives its metrics, and its results as scores/ would have them. */
async function measure(task: string, items: string) {
  const state = await mkdtemp(join(tmpdir(), "franken-scores-"));
  const args = [evalFile, "--variant", BASE, "--task", task, "--items", items];
  const { stdout } = await promisify(execFile)(process.execPath, [...args, "--workers", "2", "--state", state]);
  const [name = ""] = await readdir(join(state, task));
  const lines = (await readFile(join(state, task, name), "utf8")).trim().split("\n");
  const results = new Map(lines.map((line) => JSON.parse(line)).map(({ item, result }) => [item, result]));
  const recorded = parseRecordedScore(JSON.parse(await readFile(join(root, "scores", task, `${BASE}.json`), "utf8")));
  return { metrics: JSON.parse(stdout).metrics, rows: rowsOf({ ...recorded, results }), recorded };
}

/** Rounded as files under scores/ are. */
const rowsOf = (score: Parameters<typeof recordScore>[0]): unknown[] =>
  (JSON.parse(recordScore(score)) as { rows: unknown[] }).rows;

it("HellaSwag: the likelihoods of the sample's first 12 items are the recorded ones", {
  timeout: 5 * MINUTES,
}, async () => {
  const { rows, recorded } = await measure("hellaswag", "3-113:10");
  expect(rows).toHaveLength(12);
  expect(rows).toEqual(rowsOf(recorded).slice(0, 12));
});

it.runIf(data)(
  "WikiText-2: the first 8 pages' likelihoods are the recorded ones, and their perplexity is near fp32's",
  { timeout: 30 * MINUTES },
  async () => {
    const { metrics, rows, recorded } = await measure("wikitext", "0-7");
    expect(rows).toEqual(rowsOf(recorded).slice(0, 8));
    expect(metrics.word_perplexity.value).toBeLessThanOrEqual(1.008 * 33.41);
  },
);
