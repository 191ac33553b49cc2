import { describe, expect, test } from "vitest";
import { random } from "../../bench/routing/random.ts";
import { PATIENT } from "../../src/engine/turns.ts";
import { costsOf, prefillTime, stepTime } from "../../src/routing/costs.ts";
import { crowdingOf, learnArrival, newArrivals } from "../../src/routing/headroom.ts";
import { type LatencyState, learnLatency, predict, profileOf, ratiosOf, type Work } from "../../src/routing/latency.ts";
import { lengthsOf } from "../../src/routing/length.ts";
import { loadOf, type UnderWay } from "../../src/routing/load.ts";
import { calibrationOf, learnFrom, newState } from "../../src/routing/state.ts";
import type { Tensor } from "../../src/variants/base.ts";
import { compilePlan } from "../../src/variants/plan.ts";
import type { SlotRecipe } from "../../src/variants/recipe.ts";
import { catalogue } from "../routes/gateway.ts";

const costs = (variant: string) => costsOf(catalogue.get(variant)!.plan);
const [BASE, SMALL] = ["smollm2-135m", "smollm2-135m-franken-all-except-last-two"];
const IDLE = loadOf([]);
const work = (promptTokens: number, tokens: number, high = tokens): Work => ({
  promptTokens,
  tokens: { p50: tokens, p90: high, p99: high, high },
});
const seed = profileOf({}, 0.95, 0);
const p50 = (variant: string, w: Work, load = IDLE, profile = seed) =>
  predict(costs(variant), profile.of(variant), load, w).latency.p50;

describe("the seed", () => {
  test("has more slots take longer, in prefill and decode", () => {
    const chain = [
      "franken-all-except-last-two",
      "franken-0-7",
      "franken-only-even-layers",
      "block-drop-6",
      "block-drop-2",
    ];
    const variants = [...chain.map((name) => `${BASE}-${name}`), BASE, `${BASE}-franken-first-last-8r2`];
    for (const cost of [prefillTime(costs(BASE), 100), stepTime(costs(BASE), 100)]) expect(cost).toBeGreaterThan(0);
    const prefill = variants.map((variant) => prefillTime(costs(variant), 100));
    const step = variants.map((variant) => stepTime(costs(variant), 100));
    expect(prefill).toEqual(prefill.toSorted((a, b) => a - b));
    expect(step).toEqual(step.toSorted((a, b) => a - b));
    expect(new Set(step).size).toBe(variants.length);
  });

  test("comes near to the speeds that were measured on the reference machine", () => {
    // README: 79 tokens/s after 32, 65 after 1,024, prefill of 512 at 162.
    expect(1000 / stepTime(costs(BASE), 64)).toBeCloseTo(79, -1);
    expect(1000 / stepTime(costs(BASE), 1040)).toBeCloseTo(65, -1);
    expect((512 * 1000) / prefillTime(costs(BASE), 512)).toBeCloseTo(162, -1);
  });

  test("has linears of 8 bits take longer, in decode by less than their bytes", () => {
    const { plan } = catalogue.get(BASE)!;
    const wider = (tensor: Tensor): Tensor =>
      tensor.type === "q4_1" ? { ...tensor, type: "q8_0", bytes: (tensor.bytes * 34) / 20 } : tensor;
    const base = { ...plan.base, tensors: plan.base.tensors.map(wider) };
    const slots = plan.slots.map(({ layer, attn, mlp }) => ({ layer, attn: !!attn, mlp: !!mlp }));
    const eight = compilePlan({ ...(catalogue.get(BASE)!.recipe as SlotRecipe), slots }, base);
    const [four, more] = [costsOf(plan), costsOf(eight)];
    expect(more.prefillMs / four.prefillMs).toBeCloseTo(1.3, 2);
    expect(more.decodeMs / four.decodeMs).toBeGreaterThan(1.15);
    expect(more.decodeMs / four.decodeMs).toBeLessThan(1.25);
  });

  test("grows with prompt, context, reply, batch and queue", () => {
    expect(p50(BASE, work(200, 20))).toBeGreaterThan(p50(BASE, work(100, 20)) * 1.5);
    expect(p50(BASE, work(100, 40))).toBeGreaterThan(p50(BASE, work(100, 20)));
    const other = (tokens: number): UnderWay => ({
      costs: costs(BASE),
      promptTokens: 100,
      expectedTokens: 30,
      tokens,
      sinceMs: 0,
      dues: PATIENT,
    });
    const times = [0, 1, 2, 3, 4, 8].map((count) =>
      p50(BASE, work(100, 20), loadOf(Array.from({ length: count }, () => other(5)))),
    );
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(new Set(times).size).toBe(times.length);
    const ttft = (load: ReturnType<typeof loadOf>) => predict(costs(BASE), seed.of(BASE), load, work(100, 20)).ttft.p50;
    expect(ttft(loadOf([other(0)])) - ttft(IDLE)).toBeGreaterThan(prefillTime(costs(BASE), 100) * 0.9);
    expect(ttft(loadOf([{ ...other(0), sinceMs: 1e6 }]))).toBeLessThan(ttft(loadOf([other(0)])));
  });

  test("counts what hurries more before a request, and nothing of what hurries less", () => {
    const never = Number.POSITIVE_INFINITY;
    const other = (tokens: number, first: number, rest: number): UnderWay => ({
      ...{ costs: costs(BASE), promptTokens: 100, expectedTokens: 30, tokens, sinceMs: 0, dues: { first, rest } },
    });
    const times = (load: ReturnType<typeof loadOf>) => {
      const { ttft, latency } = predict(costs(BASE), seed.of(BASE), load, work(100, 20));
      return { ttft: ttft.p50, decode: latency.p50 - ttft.p50 };
    };
    const alone = times(IDLE);
    const [prompt, steps] = [prefillTime(costs(BASE), 100), 30 * stepTime(costs(BASE), 115)];
    const expectMore = (load: ReturnType<typeof loadOf>, ttft: number, decode: number): void => {
      const found = times(load);
      expect((found.ttft - alone.ttft) / (prompt + steps)).toBeCloseTo(ttft / (prompt + steps), 1);
      expect((found.decode - alone.decode) / (prompt + steps)).toBeCloseTo(decode / (prompt + steps), 1);
      expect(load.alone).toBe(ttft + decode === 0);
    };
    const soon = { first: 500, rest: 500 };
    expectMore(loadOf([other(0, 400, 400)], soon), prompt + steps, 0);
    expectMore(loadOf([other(0, 400, never)], soon), prompt, 0);
    expectMore(loadOf([other(0, 600, 600), other(5, never, never), other(0, never, never)], soon), 0, 0);
    // Its own first token hurries, the rest does not: what hurries less comes between, what does not takes turns then.
    expectMore(loadOf([other(0, 600, 600)], { first: 500, rest: never }), 0, steps);
    expectMore(loadOf([other(0, never, never)], { first: 500, rest: never }), 0, (19 / 30) * steps);
    // The other way round: the prompt waits its turn, the tokens do not.
    const twoRounds = (2 / 30) * steps;
    expectMore(loadOf([other(0, never, never)], { first: never, rest: 20 }), prompt + 2 * twoRounds, 0);
    expectMore(loadOf([other(0, 600, 600)]), prompt + steps, 0);
  });
});

describe("what was measured", () => {
  const observe = (state: LatencyState, variant: string, factor: number, now = 0, count = 1): void => {
    for (let i = 0; i < count; i++) {
      const profile = profileOf(state, 0.95, now).of(variant);
      const first = prefillTime(costs(variant), 100) * factor;
      const tokens = 20;
      const latencyMs = first + 19 * stepTime(costs(variant), 110) * factor;
      learnLatency(
        state,
        variant,
        true,
        ratiosOf(costs(variant), profile, IDLE, 100, { ttftMs: first, latencyMs, tokens }),
        now,
      );
    }
  };
  const predicted = (state: LatencyState, variant: string, now = 0) =>
    predict(costs(variant), profileOf(state, 0.95, now).of(variant), IDLE, work(100, 20)).latency;

  test("of one variant tells how fast the machine is for all", () => {
    const state: LatencyState = {};
    const before = predicted(state, SMALL).p50;
    observe(state, BASE, 3, 0, 40);
    expect(predicted(state, SMALL).p50 / before).toBeGreaterThan(2.8);
    expect(predicted(state, SMALL).p50 / before).toBeLessThan(3.2);
  });

  test("of a variant itself counts more", () => {
    const state: LatencyState = {};
    observe(state, BASE, 3, 0, 40);
    const machine = predicted(state, SMALL).p50;
    observe(state, SMALL, 1.5, 0, 40);
    expect(predicted(state, SMALL).p50 / machine).toBeCloseTo(0.5, 1);
    expect(predicted(state, BASE).p50).toBeGreaterThan(2.8 * predicted({}, BASE).p50);
  });

  test("makes predictions that hold as often as they say", () => {
    const next = random(11);
    const state = newState();
    const normal = (): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
    for (let i = 0; i < 1200; i++) {
      const variant = next() < 0.5 ? BASE : SMALL;
      const profile = profileOf(state.latency, 0.95, 0).of(variant);
      const slow = Math.exp(0.3 * normal()) * (variant === BASE ? 2 : 1.6);
      const used = Math.ceil((0.2 + 0.8 * next()) * 40);
      const ttftMs = prefillTime(costs(variant), 100) * slow;
      const latencyMs = ttftMs + (used - 1) * stepTime(costs(variant), 100 + used / 2) * slow;
      const now = { promptTokens: 100, tokens: lengthsOf(state.lengths, "k", 40, 0.95, 0) };
      const at = (level: "p50" | "p90" | "p99" | "high") =>
        predict(costs(variant), profile, IDLE, now, level).latency.high;
      const none = { p50: 0, p90: 0, p99: 0, high: 0 };
      learnFrom(
        state,
        {
          ...{ variant, key: "k", alone: true, tokens: used, maxTokens: 40 },
          ratios: ratiosOf(costs(variant), profile, IDLE, 100, { ttftMs, latencyMs, tokens: used }),
          measured: { latency: latencyMs },
          predicted: {
            ttft: none,
            tpot: none,
            latency: { p50: at("p50"), p90: at("p90"), p99: at("p99"), high: at("high") },
          },
        },
        0,
      );
    }
    for (const variant of [BASE, SMALL]) {
      const { within, requests } = calibrationOf(state, variant).latency!;
      expect(requests).toBeGreaterThan(500);
      expect(Math.abs(within.p50 - 0.5)).toBeLessThan(0.08);
      expect(Math.abs(within.p90 - 0.9)).toBeLessThan(0.05);
      expect(Math.abs(within.high - 0.95)).toBeLessThan(0.04);
      expect(within.p99).toBeGreaterThan(0.95);
    }
  });

  test("is the same state for the same observations", () => {
    const [a, b]: LatencyState[] = [{}, {}];
    for (const state of [a!, b!]) observe(state, BASE, 2, 1000, 10);
    expect(a).toEqual(b);
    expect(JSON.parse(JSON.stringify(a))).toEqual(a);
  });

  test("that could not be is left out", () => {
    expect(ratiosOf(costs(BASE), seed.of(BASE), IDLE, 100, { ttftMs: 5, latencyMs: 5, tokens: 0 })).toEqual({});
    expect(ratiosOf(costs(BASE), seed.of(BASE), IDLE, 100, { ttftMs: 5, latencyMs: 5, tokens: 1 })).not.toHaveProperty(
      "tpot",
    );
    const state: LatencyState = {};
    learnLatency(state, BASE, true, { ttft: Number.NaN, tpot: 0, latency: Number.POSITIVE_INFINITY }, 0);
    expect(state).toEqual({});
  });
});

describe("lengths", () => {
  test("are the limit at first, then what the key's requests used", () => {
    const state = newState();
    const nothing = { p50: 0, p90: 0, p99: 0, high: 0 };
    const learn = (key: string, tokens: number): void =>
      learnFrom(
        state,
        {
          ...{ variant: BASE, key, alone: true, tokens, maxTokens: 500, ratios: {}, measured: {} },
          predicted: { ttft: nothing, tpot: nothing, latency: nothing },
        },
        0,
      );
    expect(lengthsOf(state.lengths, "short", 500, 0.95, 0).high).toBe(500);
    for (let i = 0; i < 50; i++) learn("short", 10 + (i % 5));
    for (let i = 0; i < 50; i++) learn("long", 500);
    expect(lengthsOf(state.lengths, "short", 500, 0.95, 0).high).toBeLessThan(17);
    expect(lengthsOf(state.lengths, "long", 500, 0.95, 0).p50).toBeGreaterThan(480);
    for (let i = 0; i < 300; i++) learn(`key ${i}`, 100);
    expect(Object.keys(state.lengths).length).toBeLessThanOrEqual(201);
    expect(lengthsOf(state.lengths, "short", 1, 0.95, 0)).toEqual({ p50: 1, p90: 1, p99: 1, high: 1 });
  });
});

describe("crowding", () => {
  test("is the expected number of arrivals whose time to spare is less than the busy time left", () => {
    const state = newArrivals();
    // One a second for ten minutes: half may spare 100 ms, half have no limit.
    for (let second = 0; second < 600; second++) learnArrival(state, second % 2 ? 100 : undefined, second * 1000);
    const crowding = crowdingOf(state, 599_000);
    expect(crowding(0)).toBe(0);
    expect(crowding(90)).toBeLessThan(0.001);
    // 0.5 of 1 a second, over the 900 ms in which a wait of more than 100 ms is left.
    expect(crowding(1000)).toBeCloseTo(0.45, 1);
    expect(crowding(2000)).toBeCloseTo(0.95, 1);
    expect(crowdingOf(state, 599_000 + 600_000)(1000)).toBeLessThan(0.001);
    expect(crowdingOf(newArrivals(), 0)(1000)).toBe(0);
  });
});
