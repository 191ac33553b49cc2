// One slice of the service's own measuring: a few items of the run that is furthest behind, on the artifact that serves. What is done is
// read from D1 item by item, so a slice may be cut off anywhere and the next one goes on from there.
import { createHash } from "node:crypto";
import type { Task } from "../../evaluation/task.ts";
import { TASKS } from "../../evaluation/tasks/index.ts";
import { createTaskTools } from "../../evaluation/tools.ts";
import type { Replica } from "../replica/index.ts";
import type { Recorder } from "../storage/index.ts";
import type { Tokenizer } from "../tokenizer/index.ts";
import type { BaseModel, Catalogue, Variant } from "../variants/index.ts";
import { variantDigest } from "../variants/index.ts";
import { conclude } from "./conclude.ts";
import type { RecordedScores } from "./recorded.ts";
import type { Sample, Samples } from "./samples.ts";
import { itemsOf, type MeasuredItem, runsOn } from "./store.ts";
import { MONITORED, type MonitoredTask } from "./tasks.ts";

export interface MonitorSettings {
  /** Most items that a slice measures; 0 switches measuring off. */
  readonly itemsPerSlice: number;
  /** Items of a run: the first of the sample. */
  readonly itemsPerRun: number;
  /** Share of items whose served result may differ from the recorded one, made by the same engine, while nothing is wrong. */
  readonly nullRate: number;
}

export interface MonitorOptions {
  readonly catalogue: Catalogue;
  readonly db: D1Database;
  readonly recorder: Recorder;
  readonly recorded: RecordedScores;
  readonly samples: Samples;
  readonly settings: MonitorSettings;
  replicaOf(weightsId: string): Replica;
  tokenizerOf(base: BaseModel): Tokenizer;
  /** Milliseconds since 1970. */
  now(): number;
  readonly log: (entry: object) => void;
}

/** What a slice measures: a run, which is one pass of a task's items over one variant on one engine. */
export interface Run {
  readonly id: string;
  /** Counts the runs of the same variant, task, data and engine, from 0. */
  readonly number: number;
  readonly variant: Variant;
  readonly variantDigest: string;
  readonly engine: string;
  readonly engineDigest: string;
  readonly task: Task;
  readonly monitored: MonitoredTask;
  readonly sample: Sample;
  /** Items that it has when it is finished. */
  readonly total: number;
}

/** No item is begun after this long. */
const SLICE_MS = 5_000;
/** A replica that is loading is waited for this long. */
const LOADING_MS = 60_000;

/**
 * @returns how many items were measured
 * @throws Error when D1 or the replica cannot be reached; the next slice tries again
 */
export async function measureSlice(options: MonitorOptions): Promise<number> {
  const { settings, recorder, now } = options;
  const run = await nextRun(options);
  if (!run) return 0;
  const done = await itemsOf(options.db, run.id);
  const known = new Set(done.map(({ item }) => item));
  const waiting = run.sample.items.slice(0, run.total).filter((item) => !known.has(item));
  const measured: MeasuredItem[] = [];
  const until = now() + SLICE_MS;
  for (const item of waiting.slice(0, settings.itemsPerSlice)) {
    const result = now() < until ? await measureItem(run, item, options) : undefined;
    if (!result) break;
    measured.push(result);
  }
  const rows = measured.map(({ item, result, error, discordant, ms, measuredAt }) => ({
    id: `${run.id}-${item}`,
    run: run.id,
    item,
    error,
    ms,
    measured_at: measuredAt,
    result: result ? JSON.stringify(result) : null,
    discordant: discordant === undefined ? null : Number(discordant),
  }));
  await recorder.record("items", rows);
  if (measured.length > 0 || waiting.length === 0) await conclude(run, [...done, ...measured], options);
  return measured.length;
}

/** The run with the smallest number, and among those the one with the smallest share of its items; undefined while replicas are at work. */
async function nextRun(options: MonitorOptions): Promise<Run | undefined> {
  const { catalogue, db, samples, settings } = options;
  let next: { run: Run; share: number } | undefined;
  const variants = [...catalogue.values()];
  const [first] = variants;
  for (const weightsId of new Set(variants.map(({ plan }) => plan.base.id))) {
    // Other weights than the first are measured while they are loaded anyway.
    const status = await whenReady(options, weightsId, weightsId === first?.plan.base.id);
    if (!status || status.queued + status.running > 0) continue;
    const rows = await runsOn(db, status.digest);
    for (const variant of variants.filter(({ plan }) => plan.base.id === weightsId)) {
      const digest = variantDigest(variant.plan);
      for (const monitored of MONITORED) {
        const task = TASKS.get(monitored.id);
        if (!task) throw new Error(`${monitored.id} is not a task`);
        const sample = await samples.of(task);
        const what = [variant.recipe.id, digest, status.digest, task.id, task.version, sample.dataDigest];
        const key = createHash("sha256").update(what.join("\n")).digest("hex").slice(0, 24);
        const last = rows
          .filter((row) => row.id.startsWith(`${key}-`))
          .sort((a, b) => a.number - b.number)
          .at(-1);
        const number = last ? last.number + last.finished : 0;
        const total = Math.min(settings.itemsPerRun, sample.items.length);
        const share = last && !last.finished ? last.items / total : 0;
        if (next && (next.run.number < number || (next.run.number === number && next.share <= share))) continue;
        const id = `${key}-${number}`;
        const engine = { engine: status.engine, engineDigest: status.digest };
        next = {
          run: { id, number, variant, variantDigest: digest, ...engine, task, monitored, sample, total },
          share,
        };
      }
    }
  }
  return next?.run;
}

/** @param wake whether it must be there: others may be idle, and may have failed */
async function whenReady({ replicaOf, now, log }: MonitorOptions, weightsId: string, wake: boolean) {
  const until = now() + LOADING_MS;
  for (;;) {
    const status = await replicaOf(weightsId).status(weightsId, wake);
    if (status.state === "ready") return status;
    if (status.state === "idle") return undefined;
    if (status.state === "failed") {
      const message = `the replica of ${weightsId} failed: ${status.error}`;
      if (wake) throw new Error(message);
      log({ event: "not_measured", message });
      return undefined;
    }
    if (now() > until) return undefined;
    await scheduler.wait(500);
  }
}

/** @returns undefined when the replica has something to generate, or its engine is no longer the run's */
async function measureItem(run: Run, item: number, options: MonitorOptions): Promise<MeasuredItem | undefined> {
  const { plan, recipe } = run.variant;
  const tools = createTaskTools(options.tokenizerOf(plan.base), plan.base.config);
  const ready = await run.sample.ready(item, tools);
  const started = options.now();
  const reply = await options.replicaOf(plan.base.id).measure({ variant: recipe.id, requests: ready.requests });
  if (reply.state === "busy" || reply.digest !== run.engineDigest) return undefined;
  const result = reply.state === "measured" ? ready.read(reply.answers) : undefined;
  const record = options.recorded.of(recipe.id, run.task.id);
  const before = record?.digests.data === run.sample.dataDigest ? record.results.get(item) : undefined;
  const sameEngine = record?.digests.engine === run.engineDigest;
  const measuredAt = options.now();
  return {
    item,
    result,
    error: reply.state === "failed" ? reply.message : null,
    // A variant that gave a result once and gives none now serves something else.
    discordant: before && (!result || run.monitored.isDiscordant(result, before, sameEngine)),
    ms: measuredAt - started,
    measuredAt,
  };
}
