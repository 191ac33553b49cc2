// The object that runs a background response, in its own storage; the app and the database are stand-ins.
import { runInDurableObject } from "cloudflare:test";
import { env as bindings } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { createSlots, type Slots } from "../../src/limits/slots.ts";
import { newResponse, parseResponseRequest, type ResponseObject } from "../../src/openai/index.ts";
import {
  JobError,
  type ResponseJob,
  type ResponseRunner,
  type ResponseStore,
  type RunJob,
} from "../../src/responses/index.ts";
import { createRunnerClass } from "../../src/responses/runner-object.ts";

const { RESPONSES } = bindings as unknown as { RESPONSES: DurableObjectNamespace };

let ids = 0;
const request = await parseResponseRequest({ model: "smollm2-135m", input: "Hi", background: true }, () => `${ids++}`);
const queued = newResponse({ id: "resp_1", createdAt: 1, model: "smollm2-135m", status: "queued" }, request.echo(true));
const job: ResponseJob = {
  response: queued,
  body: JSON.stringify(request.body),
  conversation: request.items,
  access: { keyId: "k", admin: false, budget: {}, limits: {} },
  headers: [["x-request-id", "req_1"]],
};
const completed: ResponseObject = { ...queued, status: "completed" };
const refusal = (code: JobError["code"], retry: boolean, retryMs?: number) =>
  new JobError(code, "refused", { retry, retryMs });
const refuse = (error: JobError) => () => Promise.reject(error);

interface Setting {
  readonly runs: Parameters<RunJob>[];
  readonly updates: ResponseObject[];
  readonly state: DurableObjectState;
  /** Of the key's background responses: one at a time. */
  readonly line: Slots;
  /** Others that were told that their turn has come. */
  readonly resumed: string[];
  /** Makes the object anew, as after a restart. */
  object(): ResponseRunner & { alarm(): Promise<void> };
  /** Starts the job on one; its alarm is left to the test. */
  started(): Promise<ReturnType<Setting["object"]>>;
}
interface Behaviour {
  /** Answers a run; the last one answers the later ones too. */
  readonly answers: ((signal: AbortSignal) => Promise<ResponseObject>)[];
  /** Updates of the database that fail, beginning with the first of a response that is over. */
  readonly storeFailures?: number;
}

const inObject = (name: string, { answers, storeFailures = 0 }: Behaviour, use: (setting: Setting) => Promise<void>) =>
  runInDurableObject(RESPONSES.getByName(name), async (_, state) => {
    const runs: Parameters<RunJob>[] = [];
    const updates: ResponseObject[] = [];
    const resumed: string[] = [];
    const line = createSlots({ most: 1, mostWaiting: 9, leaseMs: 60_000, now: Date.now });
    let failures = storeFailures;
    const store = {
      async update(response: ResponseObject) {
        if (response.status !== "in_progress" && failures-- > 0) throw new Error("D1 is away");
        updates.push(response);
        return true;
      },
    } as Partial<ResponseStore> as ResponseStore;
    const Runner = createRunnerClass<object>({
      store: () => store,
      lineOf: () => ({
        join: async () => true,
        enter: async (id) => line.enter(id),
        leave: async (id) => line.leave(id),
      }),
      runnerOf: (_, id) => ({ resume: async () => void resumed.push(id) }),
      async run(_env, job, event) {
        runs.push([job, event]);
        return (answers[runs.length - 1] ?? (answers.at(-1) as Behaviour["answers"][number]))(event.signal);
      },
    });
    const object = () => new Runner(state, {});
    await use({
      runs,
      updates,
      state,
      object,
      line,
      resumed,
      async started() {
        const runner = object();
        await runner.start(job);
        expect(await state.storage.getAlarm()).not.toBeNull();
        await state.storage.deleteAlarm();
        return runner;
      },
    });
  });

describe("a background response's object", () => {
  test("waits as long as it is told to while there is no room, and loses no attempt by it", () =>
    inObject(
      "no-room",
      {
        answers: [
          ...Array.from({ length: 20 }, () => refuse(refusal("rate_limit_exceeded", true, 15_000))),
          async () => completed,
        ],
      },
      async ({ started, object, runs, updates, state }) => {
        await started();
        for (let i = 0; i < 20; i++) {
          await object().alarm();
          const waitMs = Number(await state.storage.getAlarm()) - Date.now();
          expect(waitMs).toBeGreaterThan(14_000);
          expect(waitMs).toBeLessThanOrEqual(30_000);
        }
        await object().alarm();
        expect(runs).toHaveLength(21);
        expect(updates.at(-1)).toEqual(completed);
      },
    ));

  test("answers the job as it was asked, keeps the result, and leaves nothing behind", () =>
    inObject("whole", { answers: [async () => completed] }, async ({ started, object, runs, updates, state }) => {
      await started();
      await object().alarm();
      expect(runs).toHaveLength(1);
      expect(runs[0]?.[0]).toEqual(job);
      expect(updates.map(({ status }) => status)).toEqual(["in_progress", "completed"]);
      expect((await state.storage.list()).size).toBe(0);
    }));

  test("begins again after a restart in mid-run", () =>
    inObject(
      "restart",
      { answers: [() => new Promise<ResponseObject>(() => {}), async () => completed] },
      async ({ started, object, updates }) => {
        void (await started()).alarm();
        await scheduler.wait(10);
        await object().alarm();
        expect(updates.at(-1)?.status).toBe("completed");
      },
    ));

  test("tries again later when there was no room, and gives up in the end", () =>
    inObject(
      "busy",
      { answers: [refuse(refusal("server_error", true))] },
      async ({ started, object, runs, updates, state }) => {
        await started();
        await object().alarm();
        expect((await state.storage.getAlarm()) ?? 0).toBeGreaterThan(Date.now() + 1_000);
        for (let i = 0; i < 5; i++) await object().alarm();
        expect(runs).toHaveLength(6);
        expect(updates.at(-1)).toMatchObject({ status: "failed", error: { code: "server_error", message: "refused" } });
      },
    ));

  test("fails at once for what no retry can mend", () =>
    inObject(
      "wrong",
      { answers: [refuse(refusal("invalid_prompt", false))] },
      async ({ started, object, runs, updates }) => {
        await started();
        await object().alarm();
        expect(runs).toHaveLength(1);
        expect(updates.at(-1)).toMatchObject({ status: "failed", error: { code: "invalid_prompt" } });
      },
    ));

  test("tells a key's limit from what was wrong with the request", () =>
    inObject(
      "limited",
      { answers: [refuse(refusal("rate_limit_exceeded", false))] },
      async ({ started, object, updates }) => {
        await started();
        await object().alarm();
        expect(updates.at(-1)).toMatchObject({ status: "failed", error: { code: "rate_limit_exceeded" } });
      },
    ));

  test("keeps the result until the database takes it, without answering twice", () =>
    inObject(
      "away",
      { answers: [async () => completed], storeFailures: 2 },
      async ({ started, object, runs, updates, state }) => {
        await started();
        for (let i = 0; i < 3; i++) await object().alarm();
        expect(runs).toHaveLength(1);
        expect(updates.at(-1)?.status).toBe("completed");
        expect((await state.storage.list()).size).toBe(0);
      },
    ));

  test("stays queued until its turn comes among those of its key, and then tells the next", () =>
    inObject(
      "in-line",
      { answers: [async () => completed] },
      async ({ started, runs, updates, state, line, resumed }) => {
        line.enter("resp_0");
        const runner = await started();
        await runner.alarm();
        expect([runs.length, updates.length]).toEqual([0, 0]);
        expect(Number(await state.storage.getAlarm())).toBeGreaterThan(Date.now() + 30_000);
        line.enter("resp_2");
        expect(line.leave("resp_0")).toEqual([job.response.id]);
        await runner.resume();
        expect(Number(await state.storage.getAlarm())).toBeLessThanOrEqual(Date.now());
        await runner.alarm();
        expect(updates.at(-1)?.status).toBe("completed");
        expect(resumed).toEqual(["resp_2"]);
      },
    ));

  test("leaves the line when it is cancelled there", () =>
    inObject("left", { answers: [] }, async ({ started, runs, state, line }) => {
      line.enter("resp_0");
      const runner = await started();
      await runner.alarm();
      await runner.cancel();
      expect(line.leave("resp_0")).toEqual([]);
      await runner.resume();
      expect(await state.storage.getAlarm()).toBeNull();
      await runner.alarm();
      expect(runs).toHaveLength(0);
    }));

  test("stops when it is cancelled, before and while it runs", () =>
    inObject(
      "cancelled",
      {
        answers: [
          (signal) =>
            new Promise((_, reject) => signal.addEventListener("abort", () => reject(refusal("server_error", false)))),
        ],
      },
      async ({ started, runs, updates, state }) => {
        const early = await started();
        await early.cancel();
        await early.alarm();
        expect(runs).toHaveLength(0);
        const late = await started();
        const running = late.alarm();
        await scheduler.wait(10);
        expect(runs).toHaveLength(1);
        await late.cancel();
        await running;
        expect(updates.map(({ status }) => status)).toEqual(["in_progress"]);
        expect((await state.storage.list()).size).toBe(0);
        expect(await state.storage.getAlarm()).toBeNull();
      },
    ));
});
