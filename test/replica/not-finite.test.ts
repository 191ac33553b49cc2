// What becomes of NaN and infinity, from the kernels to the client: the real engine on a tiny base whose vocabulary is the tokenizer's.
import { beforeAll, describe, expect, it } from "vitest";
import plain from "../../dist/kernels/plain.wasm";
import relaxed from "../../dist/kernels/relaxed.wasm";
import { createWasmEngine } from "../../src/engine/wasm/index.ts";
import type { OpenFile } from "../../src/engine/weights.ts";
import { readFrames } from "../../src/replica/client.ts";
import { streamGeneration } from "../../src/replica/generation.ts";
import { createPace } from "../../src/replica/pace.ts";
import type { Frame, GenerateRequest, Replica } from "../../src/replica/protocol.ts";
import { type Batcher, createBatcher } from "../../src/scheduler/batch.ts";
import type { BaseModel } from "../../src/variants/base.ts";
import type { Plan } from "../../src/variants/plan.ts";
import { adaptedPlan, adaptedRecipe, randomPairs } from "../engine/wasm/peft.ts";
import { makeTiny, openFrom, config as tinyConfig, tinyPlan } from "../engine/wasm/tiny.ts";
import { errorOf, ready, type TestGateway, testGateway } from "../routes/gateway.ts";

const config = { ...tinyConfig, hidden: 32, vocab: 49_152 };
/** Its embedding is infinite in a model of its own, and the greedy reply comes to it after some tokens. */
const POISONED = 19_556;
const files = new Map<string, Uint8Array>();

/** One factor of 1e20 in each matrix: finite as they are, and beyond fp32 when multiplied. */
function hugePlan(base: BaseModel): Plan {
  const [pair] = randomPairs(config, [1], ["o"], 4, 1);
  pair!.a.fill(1e20);
  pair!.b.fill(1e20);
  const recipe = adaptedRecipe("layers", [{ layer: 0 }, { layer: 1 }, { layer: 2 }]);
  return adaptedPlan({ base, pairs: [pair!], scale: 1, recipe, files });
}

function replicaOf(batcher: Batcher, plans: Record<string, Plan>) {
  const log: Record<string, unknown>[] = [];
  const replica: Replica = {
    status: async () => ready,
    generate: async (request) =>
      streamGeneration({
        status: () => undefined,
        request,
        ready: Promise.resolve({ plan: plans[request.variant] as Plan, batcher }),
        log: (entry) => log.push(entry as Record<string, unknown>),
      }).readable,
    switchVariant: async () => false,
    measure: async () => ({ state: "busy" }),
    compare: async () => ({ state: "busy", reason: "live" }),
  };
  return { replica, log };
}

async function batcherOf(base: BaseModel, open: OpenFile): Promise<Batcher> {
  const engine = await createWasmEngine({ base, open, modules: { relaxed, plain } });
  return createBatcher({ engine, pace: createPace(16e6), maxRunning: 8 });
}

const request = (variant: string, promptIds: number[], change: Partial<GenerateRequest> = {}): GenerateRequest => ({
  id: "gen_1",
  requestId: `req_${variant}`,
  variant,
  promptIds,
  maxTokens: 24,
  temperature: 0,
  topP: 1,
  seed: 1,
  deadlineMs: 60_000,
  ...change,
});

async function framesOf(replica: Replica, asked: GenerateRequest): Promise<Frame[]> {
  const frames: Frame[] = [];
  for await (const frame of readFrames(replica, asked, new AbortController().signal)) {
    if (frame.type !== "wait" && frame.type !== "status") frames.push(frame);
  }
  return frames;
}

describe("a variant whose adapter overflows", () => {
  const { base, open } = makeTiny({ shape: config });
  const recipe = adaptedRecipe("layers", [{ layer: 0 }, { layer: 2 }]);
  const sound = adaptedPlan({ base, pairs: randomPairs(config, [2], ["q", "up"], 8, 2), scale: 1, recipe, files });
  const plans = { base: tinyPlan(base), sound, short: tinyPlan(base, [{ layer: 1 }]), huge: hugePlan(base) };
  let batcher: Batcher;
  beforeAll(async () => {
    batcher = await batcherOf(base, async (file) => (await openFrom(files)(file)) ?? open(file));
  });

  it("ends with an error and one line in the log; the others in its batch get the tokens that they get alone", async () => {
    const { replica, log } = replicaOf(batcher, plans);
    const prompt = Array.from({ length: 70 }, (_, i) => (i * 711 + 5) % config.vocab);
    const others = [
      request("base", prompt.slice(0, 40)),
      request("sound", prompt.slice(5, 50), { temperature: 1 }),
      request("short", prompt.slice(9, 12), { temperature: 1, seed: 9 }),
      request("base", prompt.slice(0, 2), { maxTokens: 60 }),
    ];
    const alone: Frame[][] = [];
    for (const other of others) alone.push(await framesOf(replica, other));
    expect(alone.map((frames) => frames.length)).toEqual([26, 26, 26, 62]);
    log.length = 0;

    const [first, second, third, fourth] = others.map((other) => framesOf(replica, other));
    const broken = [request("huge", prompt), request("huge", prompt.slice(0, 3), { temperature: 1 })];
    const ended = await Promise.all(broken.map((asked) => framesOf(replica, asked)));
    expect(log.filter(({ outcome }) => outcome === "length")).toEqual([]);
    for (const [i, frames] of ended.entries()) {
      const message = `adapted computed NaN or infinity at position ${broken[i]!.promptIds.length}: ask another variant`;
      expect(frames).toEqual([
        { type: "start", cached: 0 },
        { type: "error", code: "not_finite", message },
      ]);
    }
    expect(log.filter(({ event }) => event !== "generation")).toEqual(
      broken.map(({ promptIds }) => ({
        event: "not_finite",
        requestId: "req_huge",
        variant: "huge",
        position: promptIds.length,
      })),
    );
    expect(log.filter(({ outcome }) => outcome === "not_finite")).toHaveLength(2);
    expect(await Promise.all([first, second, third, fourth])).toEqual(alone);
  });

  it.each([false, true])("gets a 500 before anything was sent, stream: %s", async (stream) => {
    const gateway = gatewayOf(replicaOf(batcher, plans).replica, plans);
    const response = await gateway.chat({ model: "huge", stream });
    expect(response.status).toBe(500);
    expect(response.headers.get("x-should-retry")).toBe("false");
    expect(await errorOf(response)).toEqual({
      type: "server_error",
      code: "numerical_error",
      param: null,
      message: expect.stringMatching(/^adapted computed NaN or infinity at position \d+: ask another variant$/),
    });
    await gateway.settled();
    expect(gateway.records).toMatchObject([{ status: 500, model: "huge", error: "numerical_error" }]);
    expect(gateway.failures).toEqual([]);
  });
});

describe("a reply that becomes infinite on its way", () => {
  const { base, open } = makeTiny({ shape: config, poisoned: POISONED, seed: 2 });
  const plans = { base: tinyPlan(base) };

  it("ends after the tokens before it, with an event and without [DONE]", async () => {
    const { replica, log } = replicaOf(await batcherOf(base, open), plans);
    const gateway = gatewayOf(replica, plans);
    const response = await gateway.chat({ model: "base", stream: true, temperature: 0 });
    expect(response.status).toBe(200);
    const events = (await response.text()).split("\n").filter((line) => line.startsWith("data: "));
    const data = events.map((line) => JSON.parse(line.slice(6)));
    await gateway.settled();
    const [record] = gateway.records;
    expect(record?.completionTokens).toBeGreaterThan(0);
    const position = record!.promptTokens! + record!.completionTokens!;
    expect(data.at(-1)).toEqual({
      error: {
        type: "server_error",
        code: "numerical_error",
        param: null,
        message: `tiny computed NaN or infinity at position ${position}: ask another variant`,
      },
    });
    expect(data.slice(0, -1).every(({ object }) => object === "chat.completion.chunk")).toBe(true);
    expect(log[0]).toEqual({ event: "not_finite", requestId: expect.any(String), variant: "base", position });
  });
});

function gatewayOf(replica: Replica, plans: Record<string, Plan>): TestGateway {
  const catalogue = new Map(
    Object.entries(plans).map(([id, plan]) => [id, { plan, recipe: { ...adaptedRecipe(), id } }]),
  );
  return testGateway([], { catalogue, replicaOf: () => replica });
}
