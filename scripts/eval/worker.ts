// One worker thread of an evaluation: an engine of its own that answers one item at a time.
import { parentPort, workerData } from "node:worker_threads";
import type { Engine } from "../../src/engine/types.ts";
import { createEngineScorer } from "../../src/scores/engine-scorer.ts";
import type { ItemResult } from "../../src/scores/metrics.ts";
import type { ScoreAnswer } from "../../src/scores/scorer.ts";
import type { SourceId } from "../../src/scores/sources.ts";
import type { Item } from "../../src/scores/task.ts";
import { TASKS } from "../../src/scores/tasks/index.ts";
import type { BaseModel } from "../../src/variants/base.ts";
import { checkpointOf } from "../../src/variants/checkpoint.ts";
import { loadEngine, readCatalogue, readTools } from "./built.ts";
import type { EngineName } from "./options.ts";

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

/** Engines by weight set, of which only the last one that was used is kept: there may be many, and an evaluation goes through them in turn. */
function createEngines(name: EngineName): (base: BaseModel) => Promise<Engine> {
  let kept: { readonly id: string; readonly engine: Promise<Engine> } | undefined;
  return (base) => {
    if (kept?.id !== base.id) kept = { id: base.id, engine: loadEngine(name, base) };
    return kept.engine;
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
  const engineOf = createEngines(engineName);
  const { digest } = await engineOf(base);

  port.on("message", async ({ variant, task, item }: Order) => {
    const started = performance.now();
    try {
      const plan = catalogue.get(variant)?.plan;
      const prepare = plan && (await itemsOf(plan.base)).get(task)?.[item];
      if (!prepare) throw new Error("there is no such item");
      const result = await answer(await engineOf(plan.base), plan, await prepare());
      say({ type: "result", result, seconds: (performance.now() - started) / 1000 });
    } catch (error) {
      say({ type: "failed", message: (error as Error).message });
    }
  });
  const counts = Object.fromEntries([...first].map(([id, items]) => [id, items.length]));
  say({ type: "ready", engineDigest: digest, counts });
}

async function answer(engine: Engine, plan: Parameters<Engine["open"]>[0], item: Item): Promise<ItemResult> {
  const scorer = createEngineScorer({ engine, plan });
  const answers: ScoreAnswer[] = [];
  for (const request of item.requests) answers.push(await scorer.answer(request));
  return item.read(answers);
}
