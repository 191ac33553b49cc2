// lm-evaluation-harness against the process that `npm start` runs: its own tasks, its own command line, its tokenizer the service's; only the
// data are local. What it makes of the answers must be what our own scorer makes of the model, item by item. Left out, and said so,
// without Python or without the package.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort, type Server, startCommand, startServer } from "../../bench/service-process.ts";
import { root } from "../../build/paths.ts";
import { dataDirectory, readSource } from "../../evaluation/offline/texts.ts";
import { parseRecordedScore } from "../../evaluation/recorded.ts";
import { jsonLines } from "../../evaluation/task.ts";
import { pagesOf } from "../../evaluation/tasks/wikitext.ts";
import { harness, installed, logLikelihoodsOf, MODEL, ourScores, type Sample } from "./lm-eval/harness.ts";

/** Every hundredth, so that both of HellaSwag's sources are among them. */
const ITEMS = Array.from({ length: 100 }, (_, i) => 3 + 100 * i);
/** Of these the exact likelihoods are computed again here; scores/ has the others rounded. */
const EXACT = 10;
/** Two of one window each, and one of two windows, the second of which reaches back. */
const PAGES = [0, 57, 15];
const QUESTIONS = 5;

const dataDir = dataDirectory();
if (!dataDir) console.warn("left out: the harness on WikiText-2, which is in no folder here (FRANKEN_DATA)");

async function recorded(task: string, items: readonly number[]) {
  const file = await readFile(join(root, "scores", task, `${MODEL}.json`), "utf8");
  const { results } = parseRecordedScore(JSON.parse(file));
  return items.map((item) => results.get(item) ?? {});
}

describe.skipIf(!installed)("lm-evaluation-harness's local-completions", () => {
  let server: Server;
  let told: Awaited<ReturnType<typeof harness>>;
  beforeAll(async () => {
    server = await startServer(await startCommand(), await freePort());
    const sources = { dataDir, cache: join(root, "data") };
    const hellaswag = jsonLines(await readSource("hellaswag", sources));
    const triviaqa = jsonLines(await readSource("triviaqa", sources)) as { question: string; aliases: string[] }[];
    const pages = dataDir ? pagesOf(await readSource("wikitext2", sources)) : [];
    told = await harness(server, {
      hellaswag_local: {
        split: "validation",
        task: "hellaswag/hellaswag.yaml",
        documents: ITEMS.map((item) => hellaswag[item]),
      },
      triviaqa_local: {
        split: "validation",
        task: "triviaqa/default.yaml",
        documents: triviaqa.slice(0, QUESTIONS).map(({ question, aliases }) => ({ question, answer: { aliases } })),
        // More stop strings than chat completions take; the last ones never come.
        more: [
          `generation_kwargs: {until: ["\\n", ".", ",", "@@1", "@@2", "@@3"], do_sample: false, temperature: 0.0}`,
        ],
      },
      ...(dataDir
        ? {
            wikitext_local: {
              split: "test",
              task: "wikitext/wikitext.yaml",
              documents: PAGES.map((page) => ({ page: pages[page] })),
            },
          }
        : {}),
    });
  }, 1_800_000);
  afterAll(() => server?.stop());

  it("HellaSwag: every item is scored as our own scorer does", async () => {
    const samples = told.samples.get("hellaswag_local") ?? [];
    const exact = await ourScores("hellaswag", ITEMS.slice(0, EXACT));
    expect(samples.slice(0, EXACT).map(logLikelihoodsOf)).toEqual(exact.map(({ logLikelihoods }) => logLikelihoods));
    const all = await recorded("hellaswag", ITEMS);
    const rounded = samples.map((sample) => logLikelihoodsOf(sample).map((value) => Number(value.toFixed(2))));
    expect(rounded).toEqual(all.map(({ logLikelihoods }) => logLikelihoods));
    expect(samples.map(({ acc, acc_norm }) => [acc, acc_norm])).toEqual(
      all.map(({ acc, acc_norm }) => [acc, acc_norm]),
    );
    const mean = (metric: string): number => all.reduce((sum, row) => sum + Number(row[metric]), 0) / all.length;
    expect(told.results.hellaswag_local?.["acc,none"]).toBeCloseTo(mean("acc"), 9);
    expect(told.results.hellaswag_local?.["acc_norm,none"]).toBeCloseTo(mean("acc_norm"), 9);
  });

  it("TriviaQA: answers are generated as our own scorer does", async () => {
    const samples = told.samples.get("triviaqa_local") ?? [];
    const ours = await ourScores(
      "triviaqa",
      Array.from({ length: QUESTIONS }, (_, i) => i),
    );
    expect(samples.map(({ exact_match }) => exact_match)).toEqual(ours.map(({ exact_match }) => exact_match));
    expect(samples.map(({ filtered_resps }) => String(filtered_resps[0]).trim())).toEqual(
      ours.map(({ answer }) => answer),
    );
  });

  it.runIf(dataDir)("WikiText-2: every page is scored as our own scorer does", async () => {
    const samples = told.samples.get("wikitext_local") ?? [];
    const [exact] = await ourScores("wikitext", [57]);
    expect(logLikelihoodsOf(samples[1] as Sample)).toEqual([exact?.logLikelihood]);
    const all = await recorded("wikitext", PAGES);
    expect(samples.map((sample) => Number(logLikelihoodsOf(sample)[0]?.toFixed(4)))).toEqual(
      all.map(({ logLikelihood }) => logLikelihood),
    );
    expect(samples.map(({ word_perplexity }) => (word_perplexity as number[])[1])).toEqual(
      all.map(({ words }) => words),
    );
    const sum = (field: string): number => all.reduce((total, row) => total + Number(row[field]), 0);
    const ours = Math.exp(-sum("logLikelihood") / sum("words"));
    expect(Math.abs((told.results.wikitext_local?.["word_perplexity,none"] as number) / ours - 1)).toBeLessThan(1e-6);
  });

  it("was refused nothing", () => {
    const requests = server.events("request").filter(({ route }) => route === "/v1/completions");
    expect(requests.length).toBeGreaterThan(50);
    expect(requests.filter(({ status }) => status !== 200)).toEqual([]);
  });
});
