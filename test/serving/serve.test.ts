// One request from what was asked for to what is settled in the end, without HTTP.
import { describe, expect, it } from "vitest";
import { type Experiments, experimentSchema } from "../../src/experiments/live/index.ts";
import type { ShadowJob } from "../../src/experiments/shadow/index.ts";
import { NO_BUDGET } from "../../src/routing/index.ts";
import { ClientGoneError, ReplicaGoneError, ServingError } from "../../src/serving/index.ts";
import { quarantining, type Script, saying, standIn, tokens, wait } from "../support/stand-in.ts";
import { eventsOf, MODEL, request, serviceOf, textOf } from "./setup.ts";

const rome = await saying("Rome.");
const failing = { type: "error", code: "overloaded", message: "too much to do", retryMs: 1500 } as const;

describe("a request that is served", () => {
  it("gives its text and its last event, and says which variant answers", async () => {
    const service = serviceOf(standIn(rome));
    const run = await service.serve();
    const events = await eventsOf(run);
    expect(textOf(events)).toBe("Rome.");
    expect(events.at(-1)).toEqual({ choice: 0, event: { type: "end", finishReason: "stop", token: undefined } });
    expect([run.variant, run.decision.rule, run.count]).toEqual([MODEL, "pinned", 1]);
    expect(run.fingerprint).toMatch(/^fp_[0-9a-f]{12}$/);
  });

  it("has its generation begun before anyone reads an event", async () => {
    const replica = standIn(rome);
    const run = await serviceOf(replica).serve();
    expect(replica.requests).toHaveLength(1);
    await eventsOf(run);
  });

  it("takes its key's tokens for the longest reply, and gives back what it did not use", async () => {
    const service = serviceOf(standIn(rome));
    const run = await service.serve();
    await eventsOf(run);
    const { promptTokens, completionTokens } = run.usage();
    expect(completionTokens).toBe(rome.length - 1);
    expect(service.reserved).toEqual([promptTokens + 8]);
    expect(service.used).toEqual([promptTokens + completionTokens]);
    await service.settled();
  });

  it("writes to its line of the log what came of it, and nothing that was said", async () => {
    const service = serviceOf(standIn(rome));
    const run = await service.serve();
    await eventsOf(run);
    expect(service.log).toMatchObject({
      model: MODEL,
      variant: MODEL,
      rule: "pinned",
      stream: false,
      finishReason: "stop",
      promptTokens: run.usage().promptTokens,
      completionTokens: rome.length - 1,
      decision: run.decision.id,
      actualMs: { ttft: expect.any(Number), tpot: expect.any(Number), latency: expect.any(Number) },
    });
    expect(JSON.stringify(service.log)).not.toContain("Rome");
  });

  it("tells what of the request had no effect, and a length that the replica lowered", async () => {
    const service = serviceOf(standIn([{ type: "start", cached: 3, maxTokens: 4 }, ...rome]));
    const run = await service.serve({ warnings: ["'x' is left out"] });
    await eventsOf(run);
    expect(service.warnings).toEqual(["'x' is left out", "the reply's length lowered from 8 to 4"]);
    expect(run.usage().cachedTokens).toBe(3);
  });

  it("tells each choice in its own order, and no more than eight are generated at once", async () => {
    const replica = standIn(() => [5, ...rome]);
    const run = await serviceOf(replica).serve({ n: 10 });
    const first = await run.events.next();
    expect(replica.requests.length).toBeLessThanOrEqual(9);
    const events = [...(first.done ? [] : [first.value]), ...(await eventsOf(run))];
    expect(replica.requests.map(({ choice, requestId }) => [choice, requestId])).toEqual(
      Array.from({ length: 10 }, (_, i) => [i, i === 0 ? "req_1" : `req_1.${i}`]),
    );
    for (let choice = 0; choice < 10; choice++) expect(textOf(events, choice)).toBe("Rome.");
  });
});

describe("a request that cannot be served", () => {
  it("is refused for a model that does not exist, and takes no tokens", async () => {
    const service = serviceOf(standIn(rome));
    await expect(service.serve({ model: "gpt-9" })).rejects.toMatchObject({ code: "unknown_model", param: "model" });
    expect(service.reserved).toEqual([]);
    // Nothing of the client's gets into the log.
    expect(service.log.model).toBeUndefined();
    await service.settled();
  });

  it("is refused for a prompt that is longer than the context, with both numbers", async () => {
    const long = { role: "user", content: "word ".repeat(9000) } as const;
    const { prompt } = request();
    const refused = serviceOf(standIn(rome)).serve({
      prompt: { ...prompt, kind: "chat", name: "input", messages: [long] },
    });
    await expect(refused).rejects.toThrow(/maximum context length is 8192 tokens.*resulted in 90\d\d tokens/);
  });

  it("is refused for a strict budget that no variant keeps, by the name that the request gave the limit", async () => {
    const { names, unstated } = request().budget;
    const budget = {
      budget: { ...NO_BUDGET, latencyMs: 1, strict: true },
      names: { ...names, latency_ms: "x-latency-budget-ms" },
      unstated,
    };
    const replica = standIn(rome);
    const service = serviceOf(replica);
    await expect(service.serve({ budget })).rejects.toMatchObject({
      code: "budget_unmet",
      param: "x-latency-budget-ms",
    });
    expect(replica.requests).toEqual([]);
    expect(service.used).toEqual([0]);
    await service.settled();
  });

  it("fails with the replica's code and the time of another attempt, and is settled", async () => {
    const service = serviceOf(standIn([wait, failing]));
    const run = await service.serve();
    const failure = await eventsOf(run).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ServingError);
    expect(failure).toMatchObject({ code: "overloaded", retryMs: 1500 });
    expect(service.used).toEqual([run.usage().promptTokens]);
    await service.settled();
  });

  it("fails with ReplicaGoneError where the replica's stream breaks off", async () => {
    const run = await serviceOf(standIn([wait, "break"])).serve();
    await expect(eventsOf(run)).rejects.toThrow(ReplicaGoneError);
  });

  it("names the field that a text breaks off at, where no token fits its grammar", async () => {
    const broken: Script = [...rome.slice(0, -1), { type: "error", code: "grammar_failed", message: "no token fits" }];
    const run = await serviceOf(standIn(broken)).serve({ grammarField: (text) => `after ${text}` });
    await expect(eventsOf(run)).rejects.toMatchObject({ code: "grammar_failed", param: "after Rome." });
  });

  it("is stopped at its deadline, which counts from its arrival", async () => {
    const replica = standIn(["never"]);
    const service = serviceOf(replica, { deadlineMs: 50 });
    const run = await service.serve();
    await expect(eventsOf(run)).rejects.toMatchObject({ code: "deadline_exceeded" });
    expect(replica.cancelled).toBe(1);
    await service.settled();
  });
});

describe("a request whose client leaves", () => {
  it("ends with ClientGoneError and cancels the replica, also while nothing comes", async () => {
    const client = new AbortController();
    const replica = standIn(["never"]);
    const service = serviceOf(replica, { signal: client.signal });
    const run = await service.serve();
    setTimeout(() => client.abort(), 10);
    await expect(eventsOf(run)).rejects.toThrow(ClientGoneError);
    expect(replica.cancelled).toBe(1);
    await service.settled();
  });

  it("is settled with what was used when its reader leaves the loop", async () => {
    const replica = standIn([...tokens([19556, 19556]), "never"]);
    const service = serviceOf(replica);
    const run = await service.serve();
    for await (const { event } of run.events) if (event.type === "text") break;
    expect(replica.cancelled).toBe(1);
    expect(service.used).toEqual([run.usage().promptTokens + 1]);
    await service.settled();
  });

  it("is settled when nobody reads it at all", async () => {
    const replica = standIn(["never"]);
    const service = serviceOf(replica);
    const run = await service.serve();
    await run.leave();
    await service.settled();
    expect(service.used).toEqual([run.usage().promptTokens]);
    expect(service.log.finishReason).toBeUndefined();
  });
});

describe("auto", () => {
  it("does not answer with a variant under quarantine: the list is loaded where the choice is made", async () => {
    const service = serviceOf(standIn(rome), { scores: quarantining(MODEL) });
    const run = await service.serve({ model: "auto" });
    expect(run.variant).not.toBe(MODEL);
    await eventsOf(run);
  });
});

describe("a request in an experiment's arm", () => {
  const spec = experimentSchema.parse({
    id: "drop-ten",
    arms: [
      { name: "base", model: MODEL, weight: 0.5 },
      { name: "drop", model: "smollm2-135m-attn-drop-10", weight: 0.5 },
    ],
    control: "base",
    primary: { metric: "agreement", margin: 0.3 },
    shadow_share: 1,
  });
  function inArm(script: Script, options: Parameters<typeof serviceOf>[1] = {}) {
    const recorded: { metric: string; value: number }[] = [];
    const jobs: ShadowJob[] = [];
    const visitors: unknown[] = [];
    const [assigned] = spec.arms;
    const experiments = {
      async assign({ id, visitor }) {
        visitors.push([id, visitor.keyId, visitor.user]);
        return { experiment: spec.id, epoch: 0, unit: "u", arm: "base", assigned, spec, begunAt: 1000 };
      },
      record: async (outcomes) => void recorded.push(...outcomes),
    } as Partial<Experiments> as Experiments;
    const shadowOf = () => ({ add: async (job: ShadowJob) => jobs.push(job) > 0 });
    return { ...serviceOf(standIn(script), { experiments, shadowOf, ...options }), recorded, jobs, visitors };
  }
  const auto = { model: "auto", user: "ada" };

  it("is answered by the arm's variant, recorded when it is complete, and handed over to be scored", async () => {
    const service = inArm(rome);
    const run = await service.serve(auto);
    expect(run.decision.experiment).toMatchObject({ id: "drop-ten", arm: "base" });
    expect(service.recorded).toEqual([]);
    await eventsOf(run);
    await service.settled();
    expect(service.visitors).toEqual([["reply_1", "key_1", "ada"]]);
    expect(service.recorded.map(({ metric }) => metric).sort()).toEqual(["error", "latency", "length", "tpot", "ttft"]);
    expect(service.recorded).toContainEqual(expect.objectContaining({ metric: "error", value: 0 }));
    expect(service.jobs).toHaveLength(1);
  });

  it("counts as an error where the gateway failed, and is not scored", async () => {
    const service = inArm([...rome.slice(0, -1), failing]);
    const run = await service.serve(auto);
    await expect(eventsOf(run)).rejects.toThrow(ServingError);
    await service.settled();
    expect(service.recorded.map(({ metric, value }) => [metric, value])).toEqual([["error", 1]]);
    expect(service.jobs).toEqual([]);
  });

  it.each([
    ["the client asked for what cannot be", { type: "error", code: "context_overflow", message: "m" } as const],
    ["the key has too much under way", { type: "error", code: "key_overloaded", message: "m" } as const],
  ])("counts for nothing where %s", async (_, frame) => {
    const service = inArm([frame]);
    await expect(eventsOf(await service.serve(auto))).rejects.toThrow(ServingError);
    await service.settled();
    expect(service.recorded).toEqual([]);
  });

  it("counts for nothing where the client left", async () => {
    const client = new AbortController();
    const service = inArm([...rome.slice(0, -1), "never"], { signal: client.signal });
    const run = await service.serve(auto);
    setTimeout(() => client.abort(), 10);
    await expect(eventsOf(run)).rejects.toThrow(ClientGoneError);
    await service.settled();
    expect([service.recorded, service.jobs]).toEqual([[], []]);
  });

  it("counts as an error where the reply could not be written", async () => {
    const service = inArm([...rome.slice(0, -1), "never"]);
    const run = await service.serve(auto);
    await run.events.next();
    await run.leave(new TypeError("no such field"));
    await service.settled();
    expect(service.recorded.map(({ metric }) => metric)).toEqual(["error"]);
  });

  it("is not complete before all of its choices are", async () => {
    const service = inArm([5, ...rome]);
    const run = await service.serve({ ...auto, n: 2 });
    for await (const { event } of run.events) if (event.type === "end") break;
    await service.settled();
    expect(service.recorded).toEqual([]);
  });
});

describe("a failure that nobody foresaw", () => {
  it("reaches whoever reads the events, and the request is settled", async () => {
    const replica = Object.assign(standIn([]), { generate: () => Promise.reject(new Error("no such object")) });
    const service = serviceOf(replica);
    const run = await service.serve();
    await expect(eventsOf(run)).rejects.toMatchObject({ cause: new Error("no such object") });
    expect(service.used).toHaveLength(1);
    await service.settled();
  });
});
