// One worker thread of an evaluation: an engine of its own that answers one item at a time.
import { parentPort, workerData } from "node:worker_threads";
import type { Engine, EngineName } from "../../src/engine/index.ts";
import type { ScoreAnswer, Scorer } from "../../src/scoring/index.ts";
import { createEngineScorer } from "../../src/scoring/index.ts";
import type { BaseModel } from "../../src/variants/index.ts";
import { checkpointOf } from "../../src/variants/index.ts";
import type { ItemResult } from "../metrics.ts";
import type { SourceId } from "../sources.ts";
import type { Item } from "../task.ts";
import { TASKS } from "../tasks/index.ts";
import { loadEngine, readCatalogue, readTools, referenceOf } from "./built.ts";

export interface WorkerData {
  readonly engine: EngineName;
  readonly tasks: readonly string[];
  /** The texts that these tasks are made of. */
  readonly texts: Readonly<Partial<Record<SourceId, string>>>;
}

/** One item of one variant and task. */
export interface Order {
  readonly variant: string;
  readonly task: string;
  readonly item: number;
}

export type Report =
  | { readonly type: "ready"; readonly engineDigest: string; readonly counts: Readonly<Record<string, number>> }
  | { readonly type: "result"; readonly result: ItemResult; readonly seconds: number }
  | { readonly type: "failed"; readonly message: string };

type Items = ReadonlyMap<string, readonly (() => Promise<Item>)[]>;

/** The tasks' items as the tokenizer of a weight set's checkpoint cuts them. */
function createItems(tasks: readonly string[], texts: WorkerData["texts"]): (base: BaseModel) => Promise<Items> {
  const known = new Map<string, Promise<Items>>();
  const load = async (base: BaseModel): Promise<Items> => {
    const tools = await readTools(base);
    const items = new Map<string, readonly (() => Promise<Item>)[]>();
    for (const id of tasks) {
      const task = TASKS.get(id);
      const text = task && texts[task.source];
      if (task && text !== undefined) items.set(id, await task.load(text, tools));
    }
    return items;
  };
  return (base) => {
    const checkpoint = checkpointOf(base);
    const items = known.get(checkpoint) ?? load(base);
    known.set(checkpoint, items);
    return items;
  };
}

/**
 * Engines by weight set, of which the first one's, the base's, and the last one that was used are kept: there may be many, and an
 * evaluation goes through them in turn.
 */
function createEngines(name: EngineName, first: BaseModel): (base: BaseModel) => Promise<Engine> {
  const kept = new Map<string, Promise<Engine>>();
  return (base) => {
    const engine = kept.get(base.id) ?? loadEngine(name, base);
    for (const id of kept.keys()) if (id !== first.id && id !== base.id) kept.delete(id);
    kept.set(base.id, engine);
    return engine;
  };
}

/**
 * Answers orders until it is terminated. The first thing it says is the engine's digest and how many items each task has.
 */
export async function runWorker(): Promise<void> {
  const port = parentPort;
  if (!port) throw new Error("this runs in a worker thread");
  const say = (report: Report): void => port.postMessage(report);
  const { engine: engineName, tasks: wanted, texts } = workerData as WorkerData;
  const catalogue = await readCatalogue();
  const base = [...catalogue.values()][0]?.plan.base;
  if (!base) throw new Error("the catalogue is empty");
  const itemsOf = createItems(wanted, texts);
  const first = await itemsOf(base);
  const engineOf = createEngines(engineName, base);
  const { digest } = await engineOf(base);

  port.on("message", async ({ variant, task, item }: Order) => {
    const started = performance.now();
    try {
      const plan = catalogue.get(variant)?.plan;
      const prepare = plan && (await itemsOf(plan.base)).get(task)?.[item];
      if (!prepare) throw new Error("there is no such item");
      const reference = referenceOf(catalogue, plan);
      const scorer = createEngineScorer({
        engine: await engineOf(plan.base),
        plan,
        reference: async () => ({ engine: await engineOf(reference.base), plan: reference }),
      });
      const result = await answer(scorer, await prepare());
      say({ type: "result", result, seconds: (performance.now() - started) / 1000 });
    } catch (error) {
      say({ type: "failed", message: (error as Error).message });
    }
  });
  const counts = Object.fromEntries([...first].map(([id, items]) => [id, items.length]));
  say({ type: "ready", engineDigest: digest, counts });
}

async function answer(scorer: Scorer, item: Item): Promise<ItemResult> {
  const answers: ScoreAnswer[] = [];
  for (const request of item.requests) answers.push(await scorer.answer(request));
  return item.read(answers);
}
