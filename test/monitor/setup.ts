// A monitor on a real database and queue, with the real samples and tokenizer; the replica is a stand-in that a test gives its answers.
import { runDurableObjectAlarm } from "cloudflare:test";
import samples from "../../dist/samples.bin";
import { createMonitor, createScoreboard, type RecordedFile } from "../../src/monitor/index.ts";
import type { MonitorSettings } from "../../src/monitor/slice.ts";
import type { MeasureReply, MeasureRequest, Replica, ReplicaStatus } from "../../src/replica/protocol.ts";
import { createRecorder } from "../../src/storage/recorder.ts";
import { variantDigest } from "../../src/variants/digest.ts";
import { catalogue, ready, sharedTokenizer, standIn } from "../routes/gateway.ts";
import { env, migratedDatabase } from "../support/database.ts";

/** The variants of these tests, in order. */
export const VARIANTS = ["smollm2-135m", "smollm2-135m-attn-drop-5"] as const;
export const two = new Map([...catalogue].filter(([id]) => (VARIANTS as readonly string[]).includes(id)));
export const HELLASWAG = "52c5234b95986283ca94534f5af6ac3a33136299d5eb320037e07b65f184816f";

/** A replica's answers that choose an ending, in place of what a model would say. */
export const choosing =
  (choose: (request: MeasureRequest) => number) =>
  (request: MeasureRequest): MeasureReply => {
    const choice = choose(request);
    const answers = request.requests.map((asked) => {
      const count = asked.type === "likelihood" ? asked.continuations.length : 0;
      return {
        type: "likelihood" as const,
        logLikelihoods: Array.from({ length: count }, (_, i) => (i === choice ? -1 : -999)),
      };
    });
    return { state: "measured", engine: "wasm", digest: "d1", answers };
  };

/** A recorded run of HellaSwag in which every item's choice was the same ending. */
export const recordedHellaswag = (
  variant: string,
  { choice = 0, engine = "d1", data = HELLASWAG, digest = variantDigest(catalogue.get(variant)!.plan) } = {},
): RecordedFile[number] => ({
  variant,
  task: "hellaswag",
  command: "npm run eval",
  recorded: "2026-01-01T00:00:00.000Z",
  count: 1000,
  digests: { variant: digest, engine, data },
  metrics: { acc: { value: 0.25, stderr: 0.01 }, acc_norm: { value: 0.25, stderr: 0.01 } },
  items: Array.from({ length: 1000 }, (_, i) => 3 + 10 * i),
  fields: ["acc", "acc_norm", "choice", "choice_norm"],
  rows: Array.from({ length: 1000 }, () => [0, 0, choice, choice]),
});

export async function setUp({
  measure = choosing(() => 0) as (request: MeasureRequest) => MeasureReply | Promise<MeasureReply>,
  status = (): ReplicaStatus => ready,
  recorded = [] as RecordedFile,
  settings = {} as Partial<MonitorSettings> | (() => MonitorSettings),
  db = undefined as D1Database | undefined,
} = {}) {
  const database = await migratedDatabase();
  const asked: MeasureRequest[] = [];
  const logged: Record<string, unknown>[] = [];
  const log = (entry: object): void => void logged.push(entry as Record<string, unknown>);
  // Each look at the clock is a little later, so that items have an order and time passes.
  let clock = 1_800_000_000_000;
  const now = (): number => {
    clock += 10;
    return clock;
  };
  const replica: Replica = {
    ...standIn([], status),
    async measure(request) {
      asked.push(request);
      return measure(request);
    },
  };
  const shared = { catalogue: two, replicaOf: () => replica, tokenizerOf: sharedTokenizer, now, log };
  const queue = env.RECORDS.getByName("records");
  const restart = () => createScoreboard({ ...shared, db: db ?? database, recorded });
  const scores = restart();
  const recorder = createRecorder({ queue: () => queue as never, log });
  const monitor = createMonitor({
    ...shared,
    db: db ?? database,
    scores,
    recorder,
    samples,
    settings: () =>
      typeof settings === "function" ? settings() : { itemsPerSlice: 5, itemsPerRun: 20, nullRate: 0.001, ...settings },
  });
  return {
    database,
    scores,
    asked,
    logged,
    monitor,
    /** Another isolate's scoreboard. */
    restart,
    /** A slice, and its rows in D1. */
    async slice(): Promise<void> {
      await monitor.slice();
      await runDurableObjectAlarm(queue);
    },
    /** Lets what is cached grow old. */
    pass(ms: number): void {
      clock += ms;
    },
    rows: async <T>(sql: string): Promise<T[]> => (await database.prepare(sql).all<T>()).results,
  };
}

export const waitUntil = (): void => {};
