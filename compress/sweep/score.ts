// Scores candidates on the served engine: the tasks that `npm run eval` knows, on some items, and how fast it decodes.
import { join } from "node:path";
import { buildCatalogue } from "../../build/catalogue.ts";
import { openFolder } from "../../build/content-store.ts";
import {
  aggregate,
  createTaskTools,
  type Item,
  type ItemResult,
  type Metric,
  SOURCES,
  sampleOf,
  TASKS,
  type Task,
} from "../../evaluation/index.ts";
import { loadEngine } from "../../evaluation/offline/built.ts";
import { runEngine } from "../../evaluation/offline/engine-run.ts";
import { readSource } from "../../evaluation/offline/texts.ts";
import { UserError } from "../../formats/error.ts";
import type { Engine } from "../../src/engine/index.ts";
import type { ScoreAnswer, Scorer } from "../../src/scoring/index.ts";
import { createEngineScorer } from "../../src/scoring/index.ts";
import { createTokenizer, type TokenizerJson } from "../../src/tokenizer/index.ts";
import type { BaseModel, Plan, SlotRecipe } from "../../src/variants/index.ts";
import { checkpointOf, compileCatalogue, type Variant } from "../../src/variants/index.ts";
import { openWorkLog } from "../importance/work.ts";

export interface Scores {
  /** HellaSwag, likeliest ending per character; a share. */
  readonly accNorm: Metric;
  /** Of words, on Wikipedia articles that calibration leaves out. */
  readonly perplexity: Metric;
  /** Tokens a second while decoding, one sequence, on one core; measured here and now. */
  readonly speed: number;
  /** Bytes of weights read for a token, at as many bits a weight as the method counts. */
  readonly nominalBytes: number;
  /** Those that the engine here reads: codes of 2 and 3 bits lie in blocks of 4, and codes of an embedding or head in blocks of 8. */
  readonly weightBytes: number;
  /** Bytes that a token adds to the KV cache, at 16 bits a value. */
  readonly kvBytes: number;
}

export interface ScorerOptions {
  /** All that will be scored, of one base. */
  readonly recipes: readonly SlotRecipe[];
  /** HellaSwag items. */
  readonly items: number;
  /** Held-out articles. */
  readonly articles: number;
  /** Keeps what is scored, and the weights that are served meanwhile. */
  readonly folder: string;
}

export interface SweepScorer {
  /** Steps of scoring one candidate. */
  readonly steps: number;
  /** Scores a recipe by its id, calling `step` as items are done. */
  score(id: string, step: () => void): Promise<Scores>;
}

const PROMPT = 32;
const DECODED = 48;
const SPEED_RUNS = 3;

/**
 * Builds the recipes' weights as the service does, under `folder`/work.
 * @throws UserError when a recipe can't be served or fewer items than asked for exist
 */
export async function openScorer({ recipes, items, articles, folder }: ScorerOptions): Promise<SweepScorer> {
  const weights = join(folder, "work", "weights");
  const files = await openFolder(weights);
  const built = await buildCatalogue(recipes, { files, pieces: new Map() }).catch((error: Error) => {
    throw new UserError(`the sweep's variants can't be served: ${error.message}`);
  });
  const catalogue = compileCatalogue(built.catalogue);
  const first = [...catalogue.values()][0]?.plan.base as BaseModel;
  const tokenizer = createTokenizer(built.tokenizers[checkpointOf(first)] as TokenizerJson);
  const tools = createTaskTools(tokenizer, first.config);
  const load = async (name: string, sample: (count: number) => readonly number[], wanted: number) => {
    const task = TASKS.get(name) as Task;
    const all = await task.load(await readSource(task.source, { dataDir: undefined, cache: folder }), tools);
    const known = sample(all.length);
    if (known.length < wanted) throw new UserError(`${name} has ${known.length} items to score, not ${wanted}`);
    // All over the sample: its kinds of items come in turn.
    const chosen = Array.from({ length: wanted }, (_, i) => known[Math.floor((i * known.length) / wanted)] as number);
    return { task, items: chosen.map((item) => ({ item, prepare: all[item] as () => Promise<Item> })) };
  };
  const tasks = [
    await load("hellaswag", sampleOf, items),
    await load("wiki-heldout", (count) => Array.from({ length: count }, (_, i) => i), articles),
  ];
  const prompt = (await tools.encode(PROMPT_TEXT)).slice(0, PROMPT);
  let loaded: { readonly base: string; readonly engine: Engine } | undefined;

  return {
    steps: items + articles + 1,
    async score(id, step) {
      const { plan } = catalogue.get(id) as Variant;
      // One weight set at a time: together they may be larger than memory.
      if (loaded?.base !== plan.base.id)
        loaded = { base: plan.base.id, engine: await loadEngine("wasm", plan.base, weights) };
      const { engine } = loaded;
      const scorer = createEngineScorer({ engine, plan });
      const metrics: Record<string, Metric> = {};
      for (const { task, items } of tasks) {
        const results: ItemResult[] = [];
        const log = openWorkLog<ItemResult>(folder, task.id, [
          ...[plan.fingerprint, engine.digest, SOURCES[task.source].sha256, `${task.version}`],
        ]);
        for (const { item, prepare } of items) {
          const result = log.get(`${item}`) ?? (await answer(scorer, await prepare()));
          log.add(`${item}`, result);
          results.push(result);
          step();
        }
        Object.assign(metrics, aggregate(results, task.metrics));
      }
      const speeds = openWorkLog<number>(folder, "speed", [plan.fingerprint, engine.digest]);
      const speed = speeds.get("decode") ?? (await decodeSpeed(engine, plan, prompt));
      speeds.add("decode", speed);
      step();
      const { nominalBytes, weightBytes, kvBytes } = plan.costs;
      const metric = (name: string): Metric => metrics[name] as Metric;
      return {
        accNorm: metric("acc_norm"),
        perplexity: metric("word_perplexity"),
        speed,
        nominalBytes,
        weightBytes,
        kvBytes,
      };
    },
  };
}

async function answer(scorer: Scorer, { requests, read }: Item): Promise<ItemResult> {
  const answers: ScoreAnswer[] = [];
  for (const request of requests) answers.push(await scorer.answer(request));
  return read(answers);
}

/** Tokens a second after the first, the median of some runs. */
async function decodeSpeed(engine: Engine, plan: Plan, prompt: readonly number[]): Promise<number> {
  const speeds: number[] = [];
  for (let run = 0; run < SPEED_RUNS; run++) {
    const times: number[] = [];
    const onToken = () => void times.push(performance.now());
    await runEngine({ engine, plan, prompts: [prompt], count: DECODED + 1, pace: () => undefined, onToken });
    speeds.push((DECODED / ((times.at(-1) as number) - (times[0] as number))) * 1000);
  }
  return speeds.toSorted((a, b) => a - b)[Math.floor(SPEED_RUNS / 2)] as number;
}

const PROMPT_TEXT = `The harbour lies at the mouth of a wide river, and on clear mornings the fishing boats set out before dawn, \
one after another, with lamps at their bows and gulls above them.`;
