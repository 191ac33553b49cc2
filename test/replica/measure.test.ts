import { describe, expect, it, vi } from "vitest";
import { EngineError } from "../../src/engine/types.ts";
import { measureItem } from "../../src/replica/measure.ts";
import { createPace } from "../../src/replica/pace.ts";
import { createBatcher } from "../../src/scheduler/batch.ts";
import type { ScoreRequest } from "../../src/scoring/scorer.ts";
import { compilePlan } from "../../src/variants/plan.ts";
import { tinyBase, tinyRecipe } from "../support/base.ts";
import { countingEngine } from "../support/engine.ts";

const plan = compilePlan(tinyRecipe(), tinyBase());
const item: ScoreRequest[] = [
  { type: "likelihood", context: [7, 7, 7], continuations: [[3, 4], [3], [9, 4]] },
  { type: "likelihood", context: [7], continuations: [[1]] },
];
const answers = [
  { type: "likelihood", logLikelihoods: [0, 0, -6] },
  { type: "likelihood", logLikelihoods: [0] },
];

function setUp(options: Parameters<typeof countingEngine>[0] = {}) {
  const counting = countingEngine(options);
  const batcher = createBatcher({ engine: counting.engine, pace: createPace(1), maxRunning: 2 });
  const generate = (maxTokens: number) => {
    const ended = Promise.withResolvers<string>();
    const tokens: number[] = [];
    batcher.submit({
      plan,
      promptIds: [7, 7],
      maxTokens,
      endIds: [],
      sampler: { next: (logits: Float32Array) => ({ id: logits.indexOf(1), logprob: 0, top: [] }) },
      onToken: ({ id }) => void tokens.push(id) as undefined,
      onEnd: (reason) => ended.resolve(reason),
      onError: ended.reject,
    });
    return { ended: ended.promise, tokens };
  };
  const measure = (requests: readonly ScoreRequest[] = item) =>
    measureItem({ plan, engine: counting.engine, batcher, requests });
  return { ...counting, batcher, generate, measure };
}

describe("measuring an item", () => {
  it("answers each request, with the engine that did, and leaves no sequence open", async () => {
    const { measure, open } = setUp();
    expect(await measure()).toEqual({ state: "measured", engine: "wasm", digest: "counting", answers });
    expect(open()).toBe(0);
  });

  it("does not begin while a generation runs", async () => {
    const { generate, measure, batches } = setUp({ stepMs: 5 });
    const { ended } = generate(5);
    const before = batches.length;
    expect(await measure()).toEqual({ state: "busy" });
    expect(batches.length).toBe(before);
    expect(await ended).toBe("length");
    await scheduler.wait(10);
    expect(await measure()).toMatchObject({ state: "measured" });
  });

  it("gives way to a generation within the step under way, which then runs as if alone", async () => {
    const alone = setUp().generate(5);
    await alone.ended;
    const { measure, generate, batches, open } = setUp({ stepMs: 20 });
    const measuring = measure();
    await scheduler.wait(5);
    expect(batches.length).toBe(1);
    const { ended, tokens } = generate(5);
    expect(await measuring).toEqual({ state: "busy" });
    await ended;
    await scheduler.wait(30);
    expect(tokens).toEqual(alone.tokens);
    // One step of the item and the generation's own: its prompt and four tokens more.
    expect(batches.length).toBe(1 + 5);
    expect(batches.every((batch) => batch.length === 1)).toBe(true);
    expect(open()).toBe(0);
  });

  it("lends the engine to one item at a time", async () => {
    const { measure } = setUp({ stepMs: 5 });
    const [first, second] = await Promise.all([measure(), measure()]);
    expect([first.state, second.state]).toEqual(["measured", "busy"]);
  });

  it("says so when the variant gives no numbers, or can never take the item; other failures are thrown", async () => {
    const { measure, engine, open, generate } = setUp();
    expect(await measure([{ type: "likelihood", context: [7], continuations: [[63]] }])).toMatchObject({
      state: "failed",
      engine: "wasm",
      digest: "counting",
      message: expect.stringContaining("not finite"),
    });
    const opening = vi.spyOn(engine, "open");
    opening.mockRejectedValueOnce(new EngineError("context_overflow", "at most 5 tokens"));
    expect(await measure()).toMatchObject({ state: "failed", message: "at most 5 tokens" });
    opening.mockRejectedValueOnce(new EngineError("out_of_memory", "full"));
    await expect(measure()).rejects.toThrow("full");
    expect(open()).toBe(0);
    expect(await generate(2).ended).toBe("length");
  });
});
