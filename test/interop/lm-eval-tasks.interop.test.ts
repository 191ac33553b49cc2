// The question sets of the source papers: what lm-evaluation-harness makes of the answers of the
// process that `npm start` runs is what `npm run eval` makes of the model, item by item. The sets
// are no part of the project: left out, and said so, where no folder has them.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort, type Server, startCommand, startServer } from "../../bench/service-process.ts";
import { root } from "../../build/paths.ts";
import { dataDirectory, readSource } from "../../evaluation/offline/texts.ts";
import { jsonLines } from "../../evaluation/task.ts";
import { questionsOf } from "../../evaluation/tasks/truthfulqa.ts";
import { type Documents, harness, installed, logLikelihoodsOf, ourScores } from "./lm-eval/harness.ts";

const ITEMS = [0, 1, 2, 3, 4, 5];
const QUESTIONS = [0, 1, 2];
const SUBJECT = "abstract_algebra";

const dataDir = dataDirectory();
if (!dataDir)
  console.warn("left out: the harness on the papers' question sets, which are in no folder here (FRANKEN_DATA)");
const sources = { dataDir, cache: join(root, ".eval") };

interface Arc {
  readonly query: string;
  readonly choices: readonly string[];
  readonly gold: number;
}

/** As the harness reads ARC. */
function arcDocument({ query, choices, gold }: Arc) {
  const label = choices.map((_, i) => "ABCDE"[i]);
  return { question: query.replace("Question: ", ""), choices: { text: choices, label }, answerKey: label[gold] };
}

const some = <T>(all: readonly T[], items = ITEMS): T[] => items.map((item) => all[item] as T);

/** The harness's task of each of ours that reads likelihoods. */
async function multipleChoice(): Promise<Record<string, Documents>> {
  const arc = async (id: "arc-easy" | "arc-challenge") =>
    some(jsonLines<Arc>(await readSource(id, sources))).map(arcDocument);
  const mmlu = jsonLines<{ readonly subject: string }>(await readSource("mmlu", sources));
  if (some(mmlu).some(({ subject }) => subject !== SUBJECT)) throw new Error(`MMLU does not begin with ${SUBJECT}`);
  const truthfulqa = some(questionsOf(await readSource("truthfulqa", sources))).map(({ question, choices }) => ({
    question,
    mc1_targets: { choices, labels: choices.map((_, i) => Number(i === 0)) },
  }));
  const test = { split: "test" } as const;
  return {
    "arc-easy": { ...test, task: "arc/arc_easy.yaml", documents: await arc("arc-easy") },
    "arc-challenge": { ...test, task: "arc/arc_challenge.yaml", documents: await arc("arc-challenge") },
    mmlu: { ...test, task: `mmlu/default/mmlu_${SUBJECT}.yaml`, documents: some(mmlu) },
    "mmlu-continuation": { ...test, task: `mmlu/continuation/mmlu_${SUBJECT}.yaml`, documents: some(mmlu) },
    "truthfulqa-mc1": { split: "validation", task: "truthfulqa/truthfulqa_mc1.yaml", documents: truthfulqa },
  };
}

/** The harness's task of TriviaQA, with the thesis's prompts and length. */
async function triviaqa(): Promise<Record<string, Documents>> {
  await promisify(execFile)(
    process.execPath,
    ["--import", "tsx", "scripts/data.ts", dataDir as string, "triviaqa-open"],
    { cwd: root },
  );
  const documents = async (id: "triviaqa" | "triviaqa-open") =>
    some(
      jsonLines<{ question: string; aliases: string[]; context?: string }>(await readSource(id, sources)),
      QUESTIONS,
    ).map(({ aliases, ...rest }) => ({ ...rest, answer: { aliases } }));
  const task = (prompt: string): Pick<Documents, "split" | "task" | "more"> => ({
    split: "validation",
    task: "triviaqa/default.yaml",
    more: [
      `doc_to_text: "${prompt}Question: {{question}}\\nAnswer:"`,
      `generation_kwargs: {until: ["@@1"], max_gen_toks: 50, do_sample: false, temperature: 0.0}`,
    ],
  });
  return {
    "triviaqa-closed": { ...task(""), documents: await documents("triviaqa") },
    "triviaqa-open": { ...task("Context: {{context}}\\n"), documents: await documents("triviaqa-open") },
  };
}

/** The harness's task files may have no dash in their names. */
const nameOf = (id: string): string => `${id.replaceAll("-", "_")}_local`;

describe.skipIf(!installed || !dataDir)("lm-evaluation-harness on the papers' question sets", () => {
  let server: Server;
  let told: Awaited<ReturnType<typeof harness>>;
  beforeAll(async () => {
    server = await startServer(await startCommand(), await freePort());
    const tasks = { ...(await multipleChoice()), ...(await triviaqa()) };
    told = await harness(server, Object.fromEntries(Object.entries(tasks).map(([id, task]) => [nameOf(id), task])));
  }, 1_800_000);
  afterAll(() => server?.stop());

  it.each([
    ["arc-easy", ["acc", "acc_norm"]],
    ["arc-challenge", ["acc", "acc_norm"]],
    ["mmlu", ["acc"]],
    ["mmlu-continuation", ["acc", "acc_norm"]],
    ["truthfulqa-mc1", ["acc"]],
  ] as const)("%s: every item is scored as our own scorer does", async (id, metrics) => {
    const samples = told.samples.get(nameOf(id)) ?? [];
    const ours = await ourScores(id, ITEMS);
    expect(samples.map(logLikelihoodsOf)).toEqual(ours.map(({ logLikelihoods }) => logLikelihoods));
    for (const metric of metrics) {
      expect(samples.map((sample) => sample[metric])).toEqual(ours.map((result) => result[metric]));
    }
  });

  it.each(["triviaqa-closed", "triviaqa-open"])("%s: answers are generated as our own scorer does", async (id) => {
    const samples = told.samples.get(nameOf(id)) ?? [];
    const ours = await ourScores(id, QUESTIONS);
    expect(samples.map(({ filtered_resps }) => String(filtered_resps[0]).trim())).toEqual(
      ours.map(({ answer }) => answer),
    );
  });
});
