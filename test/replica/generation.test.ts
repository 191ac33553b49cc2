import { describe, expect, it, vi } from "vitest";
import { buildTree } from "../../src/engine/grammar/index.ts";
import { type Engine, EngineError } from "../../src/engine/types.ts";
import { type GenerationOptions, streamGeneration } from "../../src/replica/generation.ts";
import { type Frame, frameSchema, type GenerateRequest } from "../../src/replica/protocol.ts";
import { createBatcher } from "../../src/scheduler/batch.ts";
import { compilePlan } from "../../src/variants/plan.ts";
import { tinyBase, tinyRecipe } from "../support/base.ts";
import { countingEngine } from "../support/engine.ts";
import { grammarOf } from "../support/grammar.ts";

const plan = compilePlan(tinyRecipe(), tinyBase());
const request: GenerateRequest = {
  id: "gen_1",
  requestId: "req_1",
  variant: "tiny",
  promptIds: [7, 7, 7],
  maxTokens: 3,
  temperature: 0,
  topP: 1,
  seed: 1,
  deadlineMs: 60_000,
};
const readyOn = (engine: Engine) =>
  Promise.resolve({ plan, batcher: createBatcher({ engine, pace: () => undefined, maxRunning: 2 }) });

const ready = { type: "status", state: "ready", engine: "e", digest: "d", queued: 0, running: 0 } as const;
const stream = (options: Omit<GenerationOptions, "status">) => streamGeneration({ ...options, status: () => ready });
const generate = (options: Omit<GenerationOptions, "status">) => stream(options).readable;

async function allFramesOf(stream: ReadableStream<Uint8Array>): Promise<Frame[]> {
  const lines = (await new Response(stream).text()).trim().split("\n");
  return lines.map((line) => frameSchema.parse(JSON.parse(line)));
}
/** All but the replica's status. */
const framesOf = async (stream: ReadableStream<Uint8Array>): Promise<Frame[]> =>
  (await allFramesOf(stream)).filter(({ type }) => type !== "status");

describe("streamGeneration", () => {
  it("begins with the replica's status, and tells it once more when the weights have been loaded", async () => {
    const engine = countingEngine().engine;
    const statusesOf = async (...states: ("loading" | "ready")[]) => {
      const status = () => ({ ...ready, state: states.shift() ?? "ready" });
      const { readable } = streamGeneration({ request, ready: readyOn(engine), status, log: () => {} });
      const frames = await allFramesOf(readable);
      expect(frames[0]?.type).toBe("status");
      return frames.flatMap((frame) => (frame.type === "status" ? [frame.state] : []));
    };
    expect(await statusesOf("ready")).toEqual(["ready"]);
    expect(await statusesOf("loading", "ready")).toEqual(["loading", "ready"]);
  });

  it("gives a frame a token, then the end, and logs one entry", async () => {
    const log = vi.fn();
    const frames = await framesOf(generate({ request, ready: readyOn(countingEngine().engine), log }));
    expect(frames).toEqual([
      { type: "start", cached: 0 },
      { type: "token", id: 3 },
      { type: "token", id: 4 },
      { type: "token", id: 5 },
      { type: "end", reason: "length" },
    ]);
    expect(log.mock.calls).toEqual([
      [
        expect.objectContaining({
          event: "generation",
          variant: "tiny",
          promptTokens: 3,
          tokens: 3,
          outcome: "length",
        }),
      ],
    ]);
  });

  it("masks tokens by a grammar, and stops where nothing more can come", async () => {
    // The engine would say 3, 4, 5, …; ids 10 to 12 are what `[1]` is written with.
    const text = (character: string) => new TextEncoder().encode(character);
    const tokens = Array.from({ length: 64 }, (_, id) => text("[1],"[id - 10] ?? "x"));
    const ready = readyOn(countingEngine().engine).then((parts) => ({ ...parts, vocabulary: buildTree(tokens) }));
    const grammar = grammarOf({ type: "array", items: { const: 1 }, minItems: 1, maxItems: 1 });
    const frames = await framesOf(generate({ request: { ...request, maxTokens: 20, grammar }, ready, log: vi.fn() }));
    expect(frames).toEqual([
      { type: "start", cached: 0 },
      { type: "token", id: 10 },
      { type: "token", id: 11 },
      { type: "token", id: 12 },
      { type: "end", reason: "stop" },
    ]);
  });

  it("ends with grammar_failed when no token fits the grammar", async () => {
    const vocabulary = buildTree([new TextEncoder().encode("x")]);
    const ready = readyOn(countingEngine().engine).then((parts) => ({ ...parts, vocabulary }));
    const grammar = grammarOf({ const: 1 });
    const frames = await framesOf(generate({ request: { ...request, grammar }, ready, log: vi.fn() }));
    expect(frames).toEqual([
      { type: "start", cached: 0 },
      { type: "error", code: "grammar_failed", message: "no token of the vocabulary fits the grammar here" },
    ]);
  });

  it("tells from which token on another plan goes on", async () => {
    const log = vi.fn();
    const { engine } = countingEngine({ stepMs: 5 });
    const generation = stream({ request: { ...request, maxTokens: 20 }, ready: readyOn(engine), log });
    const frames = framesOf(generation.readable);
    await scheduler.wait(30);
    await generation.switchPlan({ ...plan, id: "lighter" });
    const all = await frames;
    const at = all.findIndex((frame) => frame.type === "variant");
    expect(all[at]).toEqual({ type: "variant", id: "lighter", fromToken: at - 1 });
    expect(all).toHaveLength(23);
    await expect(generation.switchPlan(plan)).rejects.toThrow("over");
  });

  it("ends at the deadline, also while nothing is loaded yet, and computes no further", async () => {
    const log = vi.fn();
    const { engine, batches } = countingEngine({ stepMs: 20 });
    const frames = await framesOf(
      generate({ request: { ...request, maxTokens: 1e9, deadlineMs: 300 }, ready: readyOn(engine), log }),
    );
    expect(frames.at(-1)).toEqual({
      type: "error",
      code: "deadline_exceeded",
      message: "the reply was not finished within 300 ms",
    });
    const steps = batches.length;
    await scheduler.wait(100);
    expect(batches.length - steps).toBeLessThanOrEqual(1);

    const never = await framesOf(
      generate({ request: { ...request, deadlineMs: 50 }, ready: new Promise(() => {}), log }),
    );
    expect(never.at(-1)).toMatchObject({ code: "deadline_exceeded" });
  });

  it("stops within five steps when its reader leaves", async () => {
    const log = vi.fn();
    const { engine, batches } = countingEngine({ stepMs: 10 });
    const stream = generate({ request: { ...request, maxTokens: 1e9 }, ready: readyOn(engine), log });
    const reader = stream.getReader();
    for (let i = 0; i < 3; i++) await reader.read();
    const steps = batches.length;
    await reader.cancel();
    await vi.waitFor(() => expect(log).toHaveBeenCalledWith(expect.objectContaining({ outcome: "client_gone" })));
    await scheduler.wait(100);
    expect(batches.length - steps).toBeLessThanOrEqual(5);
  });

  it("lowers maxTokens to what the engine has room for", async () => {
    const { engine } = countingEngine({ capacity: 5 });
    const frames = await framesOf(
      generate({
        request: { ...request, maxTokens: 100 },
        ready: readyOn(engine),
        log: () => {},
      }),
    );
    expect(frames).toContainEqual({ type: "start", cached: 0, maxTokens: 2 });
    expect(frames.filter((frame) => frame.type === "token")).toHaveLength(2);
    expect(frames.at(-1)).toEqual({ type: "end", reason: "length" });
  });

  it("pauses while its reader does not read, so that a slow client costs no more than a few steps ahead", async () => {
    const { engine, batches } = countingEngine();
    const stream = generate({ request: { ...request, maxTokens: 1e9 }, ready: readyOn(engine), log: () => {} });
    await scheduler.wait(100);
    expect(batches.length).toBeLessThanOrEqual(5);
    await stream.cancel();
  });

  it("names damaged weights, and keeps what is nobody's business in the log", async () => {
    const log = vi.fn();
    const damaged = Promise.reject(new EngineError("damaged_weights", "weight part x is missing"));
    expect(await framesOf(generate({ request, ready: damaged, log }))).toEqual([
      { type: "error", code: "damaged_weights", message: "weight part x is missing" },
    ]);
    const broken = Promise.reject(new Error("secret detail"));
    const frames = await framesOf(generate({ request, ready: broken, log }));
    expect(JSON.stringify(frames)).not.toContain("secret");
    expect(log).toHaveBeenCalledWith({ event: "replica_error", requestId: "req_1", message: "secret detail" });
  });
});
