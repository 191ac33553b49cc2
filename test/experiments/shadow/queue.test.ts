// The queue of answers to be scored, in its own storage; the replica and what records outcomes are stand-ins.
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import {
  isSampled,
  needsShadow,
  type ShadowJob,
  type ShadowOutcome,
  type ShadowQueue,
} from "../../../src/experiments/shadow/index.ts";
import { createShadowQueueClass } from "../../../src/experiments/shadow/queue-object.ts";
import type { CompareReply, CompareRequest } from "../../../src/replica/protocol.ts";
import { standIn } from "../../routes/gateway.ts";

const { SHADOW } = env as unknown as { SHADOW: DurableObjectNamespace };

const jobOf = (request: string, more: Partial<ShadowJob> = {}): ShadowJob => ({
  experiment: "drop-ten",
  epoch: 0,
  unit: "u1",
  arm: "base",
  request,
  reference: "smollm2-135m",
  treatments: [
    { arm: "drop", variant: "smollm2-135m-attn-drop-10" },
    { arm: "franken", variant: "smollm2-135m-franken-0-7" },
  ],
  promptIds: [4242, 4243],
  replyIds: [4244],
  scope: "key-1",
  begunAt: 1,
  until: Date.now() + 60_000,
  ...more,
});
const compared: CompareReply = {
  state: "compared",
  engine: "wasm",
  digest: "d1",
  tokens: 1,
  kl: 0.25,
  agreement: 0.5,
  nll: 2,
};
const busy: CompareReply = { state: "busy", reason: "live" };

interface Setting {
  readonly asked: CompareRequest[];
  readonly outcomes: ShadowOutcome[];
  readonly logged: { event?: string }[];
  readonly state: DurableObjectState;
  /** Makes the object anew, as after a restart. */
  object(): ShadowQueue & { alarm(): Promise<void> };
  waiting(): number;
}
type Answer = CompareReply | Error;

/** @param answers of the replica, in order; the last one answers the later ones too */
const inObject = (name: string, answers: readonly Answer[], use: (setting: Setting) => Promise<void>) =>
  runInDurableObject(SHADOW.getByName(name), async (_, state) => {
    const asked: CompareRequest[] = [];
    const outcomes: ShadowOutcome[] = [];
    const logged: { event?: string }[] = [];
    const Queue = createShadowQueueClass<object>({
      replicaOf: () => ({
        ...standIn([]),
        async compare(request) {
          asked.push(request);
          const answer = answers[Math.min(asked.length, answers.length) - 1] as Answer;
          if (answer instanceof Error) throw answer;
          return answer;
        },
      }),
      record: async (_env, more) => void outcomes.push(...more),
      log: (entry) => void logged.push(entry),
    });
    const waiting = () => state.storage.sql.exec<{ jobs: number }>("SELECT count(*) AS jobs FROM jobs").one().jobs;
    await use({ asked, outcomes, logged, state, waiting, object: () => new Queue(state, {}) });
    await state.storage.deleteAlarm();
  });

describe("the queue of answers to be scored", () => {
  it("runs an answer through each treatment, records what comes, and keeps nothing of it", () =>
    inObject("whole", [compared], async ({ object, asked, outcomes, state, waiting }) => {
      const job = jobOf("r1");
      expect(await object().add(job)).toBe(true);
      expect(await state.storage.getAlarm()).not.toBeNull();
      await object().alarm();
      expect(asked.map(({ variant, promptIds, scope }) => ({ variant, promptIds, scope }))).toEqual(
        job.treatments.map(({ variant }) => ({ variant, promptIds: [4242, 4243], scope: "key-1" })),
      );
      expect(outcomes.map(({ metric, value }) => [metric, value])).toEqual([
        ["agreement@drop", 0.5],
        ["kl@drop", 0.25],
        ["perplexity@drop", Math.exp(2)],
        ["agreement@franken", 0.5],
        ["kl@franken", 0.25],
        ["perplexity@franken", Math.exp(2)],
      ]);
      expect(outcomes[0]).toMatchObject({ experiment: "drop-ten", request: "r1", unit: "u1", arm: "base" });
      expect(waiting()).toBe(0);
    }));

  it("waits longer and longer while the replica is busy, over a restart too, and goes on where it was", () =>
    inObject("busy", [compared, busy, busy, busy, compared], async ({ object, asked, outcomes, state }) => {
      const queue = object();
      await queue.add(jobOf("r2"));
      await queue.alarm();
      expect(outcomes).toHaveLength(3);
      await queue.alarm();
      await queue.alarm();
      expect((await state.storage.getAlarm()) ?? 0).toBeGreaterThan(Date.now() + 200);
      await object().alarm();
      expect(asked.map(({ variant }) => variant.slice(13))).toEqual(["attn-drop-10", ...Array(4).fill("franken-0-7")]);
      expect(outcomes).toHaveLength(6);
    }));

  it("outlives a replica that is away; gives up what it never answers, in favour of the next, without a word of it in the log", () =>
    inObject("away", [...Array(9).fill(new Error("gone")), compared], async ({ object, outcomes, logged, waiting }) => {
      const queue = object();
      const treatments = jobOf("").treatments.slice(0, 1);
      await queue.add(jobOf("r3", { treatments }));
      await queue.add(jobOf("r4", { treatments }));
      for (let i = 0; i < 8; i++) await queue.alarm();
      expect(waiting()).toBe(1);
      await queue.alarm();
      expect(new Set(outcomes.map(({ request }) => request))).toEqual(new Set(["r4"]));
      expect(logged.filter(({ event }) => event === "shadow_waiting")).toHaveLength(9);
      expect(JSON.stringify(logged)).not.toMatch(/424[234]/);
    }));

  it("leaves out what cannot be compared", () =>
    inObject(
      "failed",
      [{ state: "failed", engine: "wasm", digest: "d1", message: "at most 5 tokens" }, compared],
      async ({ object, outcomes, logged, waiting }) => {
        await object().add(jobOf("r5"));
        await object().alarm();
        expect(outcomes.map(({ metric }) => metric)).toEqual(["agreement@franken", "kl@franken", "perplexity@franken"]);
        expect(logged).toMatchObject([
          { event: "shadow_failed", message: "at most 5 tokens" },
          { event: "shadow_scored", requestId: "r5", tokens: 1 },
        ]);
        expect(waiting()).toBe(0);
      },
    ));

  it("drops what would no longer count, and takes no more than it can hold", () =>
    inObject("full", [busy], async ({ object, asked, waiting }) => {
      const queue = object();
      await queue.add(jobOf("late", { until: Date.now() - 1 }));
      await queue.alarm();
      expect([asked.length, waiting()]).toEqual([0, 0]);
      expect(await queue.add(jobOf("long", { promptIds: Array(300_000).fill(49_151) }))).toBe(false);
      for (let i = 0; i < 256; i++) expect(await queue.add(jobOf(`f${i}`))).toBe(true);
      expect(await queue.add(jobOf("one more"))).toBe(false);
      expect(waiting()).toBe(256);
    }));
});

describe("the sample", () => {
  it("is the same for the same request, of the share that is wanted, and another in each experiment", () => {
    const requests = Array.from({ length: 1000 }, (_, i) => `req_${i}`);
    const sampled = (experiment: string, share: number) => requests.filter((id) => isSampled(id, experiment, share));
    expect(sampled("a", 0.2)).toEqual(sampled("a", 0.2));
    // 200 expected, with a standard deviation of 13.
    expect(Math.abs(sampled("a", 0.2).length - 200)).toBeLessThan(52);
    expect(sampled("a", 0.2)).not.toEqual(sampled("b", 0.2));
    expect(sampled("a", 1)).toHaveLength(1000);
    expect(sampled("a", 0)).toHaveLength(0);
  });

  it("is taken where agreement is judged", () => {
    const spec = (metric: "agreement" | "rating") => ({ metric, statistic: "mean" as const, margin: 0.1 });
    expect(needsShadow({ primary: spec("rating"), guardrails: [] })).toBe(false);
    expect(needsShadow({ primary: spec("rating"), guardrails: [spec("agreement")] })).toBe(true);
  });
});
