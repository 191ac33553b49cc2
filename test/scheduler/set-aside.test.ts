// Generations on the real engine whose memory goes to others for a while: they end with the bytes that they would have
// had alone.
import { describe, expect, it, vi } from "vitest";
import plain from "../../dist/kernels/plain.wasm";
import relaxed from "../../dist/kernels/relaxed.wasm";
import { mulberry32 } from "../../evaluation/random.ts";
import type { Sampled } from "../../src/engine/sampling/index.ts";
import { createWasmEngine } from "../../src/engine/wasm/index.ts";
import { createPace } from "../../src/replica/pace.ts";
import { createBatcher, STALL_MS } from "../../src/scheduler/batch.ts";
import type { Generation } from "../../src/scheduler/generation.ts";
import { config, makeTiny, tinyPlan } from "../engine/wasm/tiny.ts";

const tiny = makeTiny();
const plan = tinyPlan(tiny.base);
const lighter = tinyPlan(tiny.base, [{ layer: 0 }, { layer: 1 }, { layer: 2, attn: false }]);
/** Memory has room for 224 tokens, in pages of 32. */
const load = () =>
  createWasmEngine({ base: tiny.base, open: tiny.open, modules: { relaxed, plain }, ceilingBytes: 10 * 65_536 });
const random = mulberry32(5);
const prompt = Array.from({ length: 75 }, () => Math.floor(random() * config.vocab));

/** The likeliest token, with its logit's bits: another bit anywhere shows. */
function likeliest(logits: Float32Array): Sampled {
  let id = 0;
  for (let i = 1; i < logits.length; i++) if ((logits[i] as number) > (logits[id] as number)) id = i;
  return { id, logprob: logits[id] as number, top: [] };
}

function collector(change: Partial<Generation> = {}) {
  const tokens: Sampled[] = [];
  const done = Promise.withResolvers<string>();
  const generation: Generation = {
    plan,
    promptIds: prompt,
    maxTokens: 60,
    endIds: [],
    sampler: { next: likeliest },
    scope: "a",
    onToken(token) {
      tokens.push(token);
      return undefined;
    },
    onEnd: done.resolve,
    onError: done.reject,
    ...change,
  };
  return { generation, tokens, done: done.promise };
}

async function setUp() {
  const engine = await load();
  let clock = 0;
  // The event loop has a turn about once a step.
  const pace = createPace(300_000);
  const batcher = createBatcher({ engine, pace, maxRunning: 4, now: () => clock });
  const pass = (ms: number): void => {
    clock += ms;
  };
  return { engine, batcher, pass };
}

describe("a generation whose reader takes nothing", () => {
  it.each([
    ["with a scope", "a", false],
    ["without a scope", undefined, false],
    ["under a second plan", "a", true],
  ])("gives up its memory, and goes on with the same bytes: %s", async (_, scope, switches) => {
    const generate = async (stalls: boolean) => {
      const { engine, batcher, pass } = await setUp();
      const gate = Promise.withResolvers<void>();
      const one = collector({
        scope,
        onToken(token) {
          one.tokens.push(token);
          if (switches && one.tokens.length === 9) void submitted.switchPlan(lighter);
          return stalls && one.tokens.length === 30 ? gate.promise : undefined;
        },
      });
      const submitted = batcher.submit(one.generation);
      if (stalls) {
        await vi.waitFor(() => expect(one.tokens).toHaveLength(30));
        await scheduler.wait(5);
        expect(batcher.running).toBe(1);
        pass(STALL_MS);
        // It needs all memory that there is.
        const capacity = engine.capacityOf(plan);
        const all = collector({
          scope: "b",
          promptIds: prompt.slice(0, 5),
          maxTokens: capacity - 5,
          onToken(token) {
            all.tokens.push(token);
            return all.tokens.length === 2 ? new Promise(() => {}) : undefined;
          },
        });
        const other = batcher.submit(all.generation);
        await vi.waitFor(() => expect(all.tokens).toHaveLength(2));
        expect(batcher.running).toBe(1);
        other.cancel();
        gate.resolve();
      }
      await one.done;
      return one.tokens;
    };
    const expected = await generate(false);
    expect(expected).toHaveLength(60);
    expect(await generate(true)).toEqual(expected);
  });

  it("ends for good when it is cancelled meanwhile, and leaves nothing behind", async () => {
    const { batcher, pass } = await setUp();
    const one = collector({
      onToken(token) {
        one.tokens.push(token);
        return new Promise(() => {});
      },
    });
    const submitted = batcher.submit(one.generation);
    await vi.waitFor(() => expect(one.tokens).toHaveLength(1));
    pass(STALL_MS);
    const other = collector({ scope: "b", maxTokens: 3 });
    batcher.submit(other.generation);
    await other.done;
    submitted.cancel();
    await vi.waitFor(() => expect([batcher.queued, batcher.running]).toEqual([0, 0]));
  });
});

describe("a key with more than its share of memory", () => {
  it("gives some up to another key's small request, and its own comes out the same", async () => {
    const alone = collector({ maxTokens: 300 });
    const first = await setUp();
    const capacity = first.engine.capacityOf(plan);
    first.batcher.submit({ ...alone.generation, maxTokens: capacity - prompt.length });
    await alone.done;
    const { batcher } = await setUp();
    const greedy = collector({ maxTokens: capacity - prompt.length });
    let tokensThen = 0;
    const small = collector({
      scope: "b",
      promptIds: prompt.slice(0, 20),
      maxTokens: 8,
      onEnd: () => (tokensThen = greedy.tokens.length),
    });
    batcher.submit({
      ...greedy.generation,
      onToken(token) {
        greedy.tokens.push(token);
        if (greedy.tokens.length === 20) batcher.submit(small.generation);
        return undefined;
      },
    });
    await greedy.done;
    expect(small.tokens).toHaveLength(8);
    expect(tokensThen).toBeLessThan(20 + 3 * 8);
    expect(greedy.tokens).toEqual(alone.tokens);
  });

  it("keeps it where the other one would have more than its share, too", async () => {
    const { batcher } = await setUp();
    const [first, second] = [collector(), collector({ scope: "b" })];
    let tokensThen = -1;
    batcher.submit({
      ...first.generation,
      onEnd() {
        tokensThen = second.tokens.length;
      },
    });
    batcher.submit(second.generation);
    await second.done;
    expect([first.tokens.length, tokensThen]).toEqual([60, 0]);
  });
});

describe("what has no room", () => {
  it("takes nobody's memory in vain, and the event loop goes on", async () => {
    const { engine, batcher } = await setUp();
    const opened = vi.spyOn(engine, "open");
    // 4 pages of 7, 2 of background work, and one that asks for 5.
    const live = collector({ scope: "b", promptIds: prompt.slice(0, 5), maxTokens: 120 });
    const background = collector({ background: true, promptIds: prompt.slice(0, 5), maxTokens: 59 });
    const big = collector({ scope: "c", promptIds: prompt.slice(0, 5), maxTokens: 150 });
    for (const { generation } of [live, background, big]) batcher.submit(generation);
    await Promise.all([live.done, background.done, big.done]);
    expect([live, background, big].map(({ tokens }) => tokens.length)).toEqual([120, 59, 150]);
    // The background's is opened anew only where it gave way for good.
    const ofBackground = opened.mock.calls.filter(([, capacity]) => capacity === 64);
    expect(ofBackground.length).toBeLessThanOrEqual(2);
  });

  it("is passed over by others that have, until it has waited for long", async () => {
    const { batcher, pass } = await setUp();
    const order: string[] = [];
    const of = (name: string, maxTokens: number, then?: () => void): Generation =>
      collector({
        promptIds: prompt.slice(0, 5),
        maxTokens,
        onEnd() {
          order.push(name);
          then?.();
        },
      }).generation;
    let tokens = 0;
    batcher.submit({
      ...of("first", 120),
      onToken() {
        if (++tokens !== 5) return undefined;
        batcher.submit(of("big", 150));
        batcher.submit(
          of("small", 3, () => {
            pass(2_001);
            batcher.submit(of("late", 3));
          }),
        );
        return undefined;
      },
    });
    await vi.waitFor(() => expect(order).toHaveLength(4), { timeout: 4_000 });
    // There was room for `late` before; once there is for `big`, both go on.
    expect(order).toEqual(["small", "first", "late", "big"]);
  });
});
