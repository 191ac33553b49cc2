// lm-evaluation-harness against the process that `npm start` runs: its own tasks, its own command line, its tokenizer the service's; only the
// data are local. What it makes of the answers must be what our own scorer makes of the model, item by item. Left out, and said so,
// without Python or without the package.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { evalFile, root } from "../../scripts/build/paths.ts";
import { dataDirectory, readSource } from "../../scripts/eval/sources.ts";
import { parseRecordedScore } from "../../src/scores/recorded.ts";
import { jsonLines } from "../../src/scores/task.ts";
import { pagesOf } from "../../src/scores/tasks/wikitext.ts";
import { freePort, type Server, startCommand, startServer } from "../e2e/server.ts";

const MODEL = "smollm2-135m";
/** Every hundredth, so that both of HellaSwag's sources are among them. */
const ITEMS = Array.from({ length: 100 }, (_, i) => 3 + 100 * i);
/** Of these the exact likelihoods are computed again here; scores/ has the others rounded. */
const EXACT = 10;
/** Two of one window each, and one of two windows, the second of which reaches back. */
const PAGES = [0, 57, 15];
const QUESTIONS = 5;

const run = promisify(execFile);
const venv = join(root, "dist/interop/lm-eval");
const python = join(venv, "bin/python");
const installed = await (async () => {
  try {
    if (!existsSync(python)) await run("python3", ["-m", "venv", venv]);
    const pip = [...["-m", "pip", "install", "--quiet"], "--disable-pip-version-check", "lm-eval[api]==0.4.13"];
    await run(python, pip);
    return true;
  } catch (error) {
    console.warn(`left out: lm-evaluation-harness, which cannot be installed here: ${(error as Error).message}`);
    return false;
  }
})();
const dataDir = dataDirectory();
if (!dataDir) console.warn("left out: the harness on WikiText-2, which is in no folder here (FRANKEN_DATA)");

/** A document of the harness's `--log_samples`, with what it got for each request and each metric. */
interface Sample {
  readonly doc_id: number;
  readonly filtered_resps: readonly (string | readonly string[])[];
  readonly [metric: string]: unknown;
}

interface Documents {
  readonly split: "validation" | "test";
  readonly documents: readonly unknown[];
  /** The harness's own task, as a file of its package. */
  readonly task: string;
  /** More lines of the task's file. */
  readonly more?: readonly string[];
}

/** Runs the harness on tasks over local documents; gives each task's samples in order, and its aggregates. */
async function harness(server: Server, tasks: Readonly<Record<string, Documents>>) {
  const folder = await mkdtemp(join(tmpdir(), "franken-lm-eval-"));
  const { stdout } = await run(python, ["-c", "import lm_eval, os; print(os.path.dirname(lm_eval.__file__))"]);
  await mkdir(join(folder, "tasks"));
  for (const [name, { split, documents, task, more = [] }] of Object.entries(tasks)) {
    const data = join(folder, `${name}.jsonl`);
    await writeFile(data, documents.map((document) => `${JSON.stringify(document)}\n`).join(""));
    const lines = [
      `include: ${join(stdout.trim(), "tasks", task)}`,
      `task: ${name}`,
      "dataset_path: json",
      "dataset_name: null",
      `dataset_kwargs: {data_files: {${split}: ${data}}}`,
      ...["training", "validation", "test"].map((other) => `${other}_split: ${other === split ? split : "null"}`),
      ...["fewshot_split: null", "num_fewshot: 0", ...more],
    ];
    await writeFile(join(folder, "tasks", `${name}.yaml`), lines.join("\n"));
  }
  const modelArgs = `base_url=${server.url}/v1/completions,model=${MODEL},max_length=2050`;
  await run(
    python,
    [
      ...["-m", "lm_eval", "--model", "local-completions", "--model_args", modelArgs, "--batch_size", "8"],
      ...["--tasks", Object.keys(tasks).join(","), "--include_path", join(folder, "tasks")],
      ...["--log_samples", "--output_path", join(folder, "out")],
    ],
    {
      cwd: folder,
      env: {
        ...process.env,
        OPENAI_API_KEY: server.key,
        HF_HOME: join(folder, "hf"),
        HF_HUB_OFFLINE: "1",
        HF_DATASETS_OFFLINE: "1",
      },
      maxBuffer: 1 << 26,
    },
  );
  const out = join(folder, "out", MODEL);
  const files = await readdir(out);
  const fileOf = async (start: string): Promise<string> =>
    readFile(join(out, files.find((file) => file.startsWith(start)) as string), "utf8");
  const { results } = JSON.parse(await fileOf("results_")) as { results: Record<string, Record<string, number>> };
  const samples = new Map<string, Sample[]>();
  for (const name of Object.keys(tasks)) {
    const rows = jsonLines(await fileOf(`samples_${name}_`)) as Sample[];
    samples.set(
      name,
      rows.sort((a, b) => a.doc_id - b.doc_id),
    );
  }
  return { samples, results };
}

/** What `npm run eval` computes of items here and now, in full precision. */
async function ourScores(task: string, items: readonly number[]): Promise<Record<string, unknown>[]> {
  const state = await mkdtemp(join(tmpdir(), "franken-scores-"));
  const args = [...["--variant", MODEL, "--task", task], ...["--items", items.join(","), "--state", state]];
  await run(process.execPath, [evalFile, ...args]);
  const [name = ""] = await readdir(join(state, task));
  const rows = jsonLines(await readFile(join(state, task, name), "utf8")) as {
    readonly item: number;
    readonly result: Record<string, unknown>;
  }[];
  return items.map((item) => rows.find((row) => row.item === item)?.result ?? {});
}

async function recorded(task: string, items: readonly number[]) {
  const file = await readFile(join(root, "scores", task, `${MODEL}.json`), "utf8");
  const { results } = parseRecordedScore(JSON.parse(file));
  return items.map((item) => results.get(item) ?? {});
}

const logLikelihoodsOf = ({ filtered_resps }: Sample): number[] =>
  filtered_resps.map((response) => Number(typeof response === "string" ? response : response[0]));

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
        ...{ split: "validation", task: "hellaswag/hellaswag.yaml" },
        documents: ITEMS.map((item) => hellaswag[item]),
      },
      triviaqa_local: {
        ...{ split: "validation", task: "triviaqa/default.yaml" },
        documents: triviaqa.slice(0, QUESTIONS).map(({ question, aliases }) => ({ question, answer: { aliases } })),
        // More stop strings than chat completions take; the last ones never come.
        more: [
          `generation_kwargs: {until: ["\\n", ".", ",", "@@1", "@@2", "@@3"], do_sample: false, temperature: 0.0}`,
        ],
      },
      ...(dataDir
        ? {
            wikitext_local: {
              ...{ split: "test", task: "wikitext/wikitext.yaml" },
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
