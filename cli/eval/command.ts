// One run of `npm run eval`, from the command line to the reports.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { root } from "../../build/paths.ts";
import {
  aggregate,
  formatItems,
  type ItemResult,
  type Metrics,
  type RecordedScore,
  SOURCES,
  type SourceId,
  type Task,
} from "../../evaluation/index.ts";
import { readCatalogue, referenceOf } from "../../evaluation/offline/built.ts";
import { type Pool, startPool } from "../../evaluation/offline/pool.ts";
import { record } from "../../evaluation/offline/record.ts";
import { openState, type State } from "../../evaluation/offline/state.ts";
import { dataDirectory, readSource } from "../../evaluation/offline/texts.ts";
import type { Order } from "../../evaluation/offline/worker.ts";
import type { Catalogue, Variant } from "../../src/variants/index.ts";
import { variantDigest } from "../../src/variants/index.ts";
import { createProgress } from "../progress.ts";
import { type EvalOptions, helpText, readOptions, UsageError } from "./options.ts";

/** One variant on one task. */
interface Job {
  readonly variant: Variant;
  readonly task: Task;
  readonly items: readonly number[];
  readonly state: State;
  readonly digests: RecordedScore["digests"];
  failure: string | undefined;
}

const INTERRUPTED = 130;

/**
 * @param args after the program's name
 * @returns the exit status
 * @throws UsageError; Error that names a file which is missing or damaged
 */
export async function runCommand(args: readonly string[]): Promise<number> {
  const catalogue = await readCatalogue();
  const options = readOptions(args, catalogue);
  if (!options) {
    process.stdout.write(helpText(catalogue));
    return 0;
  }
  const stateDir = options.state ?? join(root, ".eval");
  const texts: Partial<Record<SourceId, string>> = {};
  for (const { source } of options.tasks) {
    texts[source] ??= await readSource(source, { dataDir: dataDirectory(), cache: join(root, ".eval") });
  }
  const pool = await startPool(options.workers, {
    engine: options.engine,
    tasks: options.tasks.map(({ id }) => id),
    texts,
  });
  let jobs: Job[];
  try {
    jobs = jobsOf(options, catalogue, pool, stateDir);
    const finished = await compute(pool, jobs);
    if (!finished) return INTERRUPTED;
  } finally {
    await pool.stop();
  }
  await report(jobs, options);
  const failed = jobs.filter(({ failure }) => failure);
  for (const { variant, task, failure } of failed)
    console.error(`${task.id} of ${variant.recipe.id} failed: ${failure}`);
  return failed.length > 0 ? 1 : 0;
}

function jobsOf(
  { variants, tasks, select }: EvalOptions,
  catalogue: Catalogue,
  { ready }: Pool,
  stateDir: string,
): Job[] {
  return tasks.flatMap((task) => {
    const items = select(ready.counts[task.id] ?? 0);
    if (items.length === 0) throw new UsageError(`no item of ${task.id} is asked for: it has ${ready.counts[task.id]}`);
    return variants.map((variant): Job => {
      const data = SOURCES[task.source].sha256;
      const digests = { variant: variantDigest(variant.plan), engine: ready.engineDigest, data };
      const reference = task.comparesWithBase ? [variantDigest(referenceOf(catalogue, variant.plan))] : [];
      const key = {
        variant: variant.recipe.id,
        task: task.id,
        digests: [...Object.values(digests), `${task.version}`, ...reference],
      };
      return { variant, task, items, state: openState(stateDir, key), digests, failure: undefined };
    });
  });
}

/** Computes what is not kept yet. @returns false when it was interrupted */
async function compute(pool: Pool, jobs: readonly Job[]): Promise<boolean> {
  const orders = jobs.flatMap((job) =>
    job.items
      .filter((item) => !job.state.kept.has(item))
      .map((item) => ({ job, variant: job.variant.recipe.id, task: job.task.id, item })),
  );
  const progress = createProgress(orders.length);
  let interrupt = (): void => {};
  const interrupted = new Promise<false>((resolve) => {
    interrupt = () => resolve(false);
  });
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt);
  const wanted = function* (): Generator<(typeof orders)[number] & Order> {
    // A job that fails is given up; the others go on.
    for (const order of orders) if (order.job.failure === undefined) yield order;
  };
  const work = pool.run(wanted(), ({ job, item }, outcome) => {
    if (outcome.type === "failed") job.failure ??= `item ${item}: ${outcome.message}`;
    else job.state.add(item, outcome);
    progress.done(() => `${job.variant.recipe.id} ${job.task.id} ${brief(metricsOf(job))}`);
  });
  const finished = await Promise.race([work.then(() => true), interrupted]);
  progress.end();
  process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
  // Whatever a worker says from now on comes too late.
  work.catch(() => {});
  for (const { state } of jobs) state.close();
  if (!finished) {
    const kept = jobs.reduce((sum, { items, state }) => sum + items.filter((item) => state.kept.has(item)).length, 0);
    const all = jobs.reduce((sum, { items }) => sum + items.length, 0);
    console.error(`stopped; ${kept} of ${all} items are kept, and the same command goes on from there`);
  }
  return finished;
}

/** Results of the items that were asked for and are there. */
const resultsOf = ({ items, state }: Job): Map<number, ItemResult> =>
  new Map(items.flatMap((item) => (state.kept.has(item) ? [[item, state.kept.get(item)!.result] as const] : [])));

const metricsOf = (job: Job): Metrics => aggregate([...resultsOf(job).values()], job.task.metrics);

const brief = (metrics: Metrics): string =>
  Object.entries(metrics)
    .slice(0, 2)
    .map(([name, { value, stderr = 0 }]) => `${name} ${value.toPrecision(4)} ± ${stderr.toPrecision(2)}`)
    .join("  ");

async function report(jobs: readonly Job[], options: EvalOptions): Promise<void> {
  const reports: object[] = [];
  for (const job of jobs) {
    if (job.failure !== undefined) continue;
    const whole = scoreOf(job, options);
    const { results, ...score } = whole;
    reports.push({ ...score, items: formatItems([...results.keys()]) });
    if (options.record) await record(whole);
  }
  const text = `${JSON.stringify(reports.length === 1 ? reports[0] : reports, null, 2)}\n`;
  if (options.out) await writeFile(options.out, text);
  else process.stdout.write(text);
}

function scoreOf(job: Job, { selection, engine }: EvalOptions): RecordedScore {
  const { variant, task, digests, items, state } = job;
  const command = ["npm run eval --", "--variant", variant.recipe.id, "--task", task.id, ...selection];
  return {
    variant: variant.recipe.id,
    task: task.id,
    command: [...command, ...(engine === "wasm" ? [] : ["--engine", engine])].join(" "),
    recorded: new Date().toISOString(),
    digests,
    taskVersion: task.version,
    seconds: Number(items.reduce((sum, item) => sum + (state.kept.get(item)?.seconds ?? 0), 0).toFixed(1)),
    metrics: metricsOf(job),
    count: items.length,
    results: resultsOf(job),
  };
}
