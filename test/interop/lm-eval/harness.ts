// lm-evaluation-harness in a virtual environment of its own, run on local documents against a
// gateway; and our own evaluation of the same items.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Server } from "../../../bench/service-process.ts";
import { evalFile, root } from "../../../build/paths.ts";
import { jsonLines } from "../../../evaluation/task.ts";

export const MODEL = "smollm2-135m";

const run = promisify(execFile);
const venv = join(root, "dist/interop/lm-eval");
const python = join(venv, "bin/python");
/** Whether the harness is there; it is installed when this is first imported. */
export const installed = await (async () => {
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

/**
 * A document of the harness's `--log_samples`, with what it got for each request and each metric.
 */
export interface Sample {
  readonly doc_id: number;
  readonly filtered_resps: readonly (string | readonly string[])[];
  readonly [metric: string]: unknown;
}

export interface Documents {
  readonly split: "validation" | "test";
  readonly documents: readonly unknown[];
  /** The harness's own task, as a file of its package. */
  readonly task: string;
  /** More lines of the task's file. */
  readonly more?: readonly string[];
}

/**
 * Runs the harness on tasks over local documents; gives each task's samples in order, and its
 * aggregates.
 */
export async function harness(server: Server, tasks: Readonly<Record<string, Documents>>) {
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
export async function ourScores(task: string, items: readonly number[]): Promise<Record<string, unknown>[]> {
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

export const logLikelihoodsOf = ({ filtered_resps }: Sample): number[] =>
  filtered_resps.map((response) => Number(typeof response === "string" ? response : response[0]));
