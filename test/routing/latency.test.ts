import { describe, expect, test } from "vitest";
import { mulberry32 } from "../../evaluation/random.ts";
import { costsOf, prefillTime, REFERENCE_PACE, stepTime } from "../../src/routing/costs.ts";
import {
  chanceOf,
  companyOf,
  knownOf,
  type LatencyState,
  LEVELS,
  learnLatency,
  METRICS,
  placesIn,
  predict,
  profileOf,
  ratiosOf,
  record,
  sharesOf,
  timeAt,
  type Work,
} from "../../src/routing/latency.ts";
import { exactly, lengthsOf } from "../../src/routing/length.ts";
import { loadOf, type UnderWay } from "../../src/routing/load.ts";
import { crowdingOf, learnArrival, lossesOf, newArrivals, overtakingOf } from "../../src/routing/others.ts";
import { calibrationOf, learnFrom, newState } from "../../src/routing/state.ts";
import type { Tensor } from "../../src/variants/base.ts";
import { compilePlan } from "../../src/variants/plan.ts";
import type { SlotRecipe } from "../../src/variants/recipe.ts";
import { catalogue } from "../routes/gateway.ts";

const costs = (variant: string) => costsOf(catalogue.get(variant)!.plan);
const [BASE, SMALL] = ["smollm2-135m", "smollm2-135m-franken-all-except-last-two"];
const IDLE = loadOf([]);
const work = (promptTokens: number, tokens: number, more: Partial<Work> = {}): Work => ({
  promptTokens,
  tokens: exactly(tokens),
  maxTokens: tokens,
  allowed: {},
  ...more,
});
const seed = profileOf({}, 0);
const p50 = (variant: string, w: Work, load = IDLE, profile = seed) =>
  timeAt(predict(costs(variant), knownOf(profile, variant), load, w), "latency", 0.5);
const ALONE = record(METRICS, () => companyOf(true, false));

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
    // As they were when the costs were fitted to them: 79 tokens/s after 32, 65 after 1,024, prefill of 512 at 162.
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
    const other = (tokens: number, more: Partial<UnderWay> = {}): UnderWay => ({
      costs: costs(BASE),
      pace: REFERENCE_PACE,
      promptTokens: 100,
      running: tokens > 0,
      prefilled: tokens > 0 ? 100 : 0,
      expectedTokens: 30,
      maxTokens: 30,
      tokens,
      allowed: {},
      askedAt: 0,
      firstAt: tokens > 0 ? 0 : undefined,
      steppedAt: 0,
      worth: 0,
      ...more,
    });
    const times = [0, 1, 2, 3, 4, 8].map((count) =>
      p50(BASE, work(100, 20), loadOf(Array.from({ length: count }, () => other(5)))),
    );
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(new Set(times).size).toBe(times.length);
    const ttft = (load: ReturnType<typeof loadOf>) =>
      timeAt(predict(costs(BASE), knownOf(seed, BASE), load, work(100, 20)), "ttft", 0.5);
    expect(ttft(loadOf([other(0)])) - ttft(IDLE)).toBeGreaterThan(prefillTime(costs(BASE), 100) * 0.8);
    expect(ttft(loadOf([other(0, { running: true, prefilled: 90 })]))).toBeLessThan(ttft(loadOf([other(0)])));
  });

  test("never has an answer end before it has begun", () => {
    const state: LatencyState = {};
    for (let i = 0; i < 50; i++) learnLatency(state, BASE, ALONE, { ttft: 3, tpot: 0.1, latency: 0.1 }, 0);
    const prediction = predict(costs(BASE), knownOf(profileOf(state, 0), BASE), IDLE, work(100, 2));
    for (const share of [0.05, 0.5, 0.95, 0.99]) {
      const first = timeAt(prediction, "ttft", share);
      expect(timeAt(prediction, "latency", share)).toBeGreaterThanOrEqual(first);
      expect(chanceOf(prediction, "latency", first)).toBeLessThanOrEqual(chanceOf(prediction, "ttft", first));
    }
  });

  test("gives probabilities that belong to its times", () => {
    const lengths = {
      p50: 20,
      high: 40,
      cases: [
        { tokens: 10, share: 0.5 },
        { tokens: 40, share: 0.5 },
      ],
    };
    const prediction = predict(
      costs(BASE),
      knownOf(seed, BASE),
      IDLE,
      work(100, 20, { tokens: lengths, maxTokens: 40 }),
    );
    for (const metric of METRICS) {
      for (const share of [0.2, 0.5, 0.8, 0.95]) {
        const ms = timeAt(prediction, metric, share);
        expect(chanceOf(prediction, metric, ms * 1.03)).toBeGreaterThanOrEqual(share - 0.01);
        expect(chanceOf(prediction, metric, ms * 0.8)).toBeLessThan(share + 0.01);
      }
    }
  });
});

describe("what was measured", () => {
  const observe = (state: LatencyState, variant: string, factor: number, now = 0, count = 1): void => {
    for (let i = 0; i < count; i++) {
      const profile = profileOf(state, now).of(variant);
      const first = prefillTime(costs(variant), 100) * factor;
      const tokens = 20;
      const latencyMs = first + 19 * stepTime(costs(variant), 110) * factor;
      const measured = { ttftMs: first, latencyMs, tokens };
      learnLatency(state, variant, ALONE, ratiosOf(costs(variant), profile, IDLE, work(100, 20), ALONE, measured), now);
    }
  };
  const predicted = (state: LatencyState, variant: string, now = 0): number =>
    p50(variant, work(100, 20), IDLE, profileOf(state, now));

  test("of one variant tells how fast the machine is for all", () => {
    const state: LatencyState = {};
    const before = predicted(state, SMALL);
    observe(state, BASE, 3, 0, 40);
    expect(predicted(state, SMALL) / before).toBeGreaterThan(2.8);
    expect(predicted(state, SMALL) / before).toBeLessThan(3.2);
  });

  test("of a few requests tells how fast the machine is, and leaves open how far its times scatter", () => {
    const state: LatencyState = {};
    const before = predicted(state, SMALL);
    observe(state, BASE, 3, 0, 4);
    expect(predicted(state, SMALL) / before).toBeGreaterThan(2.7);
    const profile = profileOf(state, 0);
    const prediction = predict(costs(SMALL), knownOf(profile, SMALL), IDLE, work(100, 20));
    expect(timeAt(prediction, "latency", 0.95)).toBeGreaterThan(1.3 * timeAt(prediction, "latency", 0.5));
  });

  test("of requests alone stands for those beside others, until they were seen", () => {
    const state: LatencyState = {};
    observe(state, BASE, 3, 0, 40);
    const shared = record(METRICS, () => companyOf(false, false));
    learnLatency(state, BASE, shared, { ttft: 3, tpot: 3, latency: 1 }, 0);
    expect(profileOf(state, 0).of(SMALL).shared.ttft.p50).toBeGreaterThan(2.8);
  });

  test("of a variant beside others tells of it alone before other variants do", () => {
    const state: LatencyState = {};
    observe(state, BASE, 3, 0, 40);
    const shared = record(METRICS, () => companyOf(false, false));
    for (let i = 0; i < 30; i++) learnLatency(state, SMALL, shared, { ttft: 1.5, tpot: 1.5, latency: 1 }, 0);
    expect(profileOf(state, 0).of(SMALL).alone.ttft.p50).toBeLessThan(2);
    expect(profileOf(state, 0).of(BASE).alone.ttft.p50).toBeGreaterThan(2.8);
  });

  test("of a variant itself counts more", () => {
    const state: LatencyState = {};
    observe(state, BASE, 3, 0, 40);
    const machine = predicted(state, SMALL);
    observe(state, SMALL, 1.5, 0, 40);
    expect(predicted(state, SMALL) / machine).toBeCloseTo(0.5, 1);
    expect(predicted(state, BASE)).toBeGreaterThan(2.8 * predicted({}, BASE));
  });

  test("makes predictions that hold as often as they say", () => {
    const next = mulberry32(11);
    const state = newState();
    const normal = (): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
    for (let i = 0; i < 1000; i++) {
      const variant = next() < 0.5 ? BASE : SMALL;
      const profile = profileOf(state.latency, 0);
      const slow = Math.exp(0.3 * normal()) * (variant === BASE ? 2 : 1.6);
      const used = Math.ceil((0.2 + 0.8 * next()) * 40);
      const ttftMs = prefillTime(costs(variant), 100) * slow;
      const latencyMs = ttftMs + (used - 1) * stepTime(costs(variant), 100 + used / 2) * slow;
      const now = work(100, 40, { tokens: lengthsOf(state.lengths, "k", 40, 0.95, 0) });
      const prediction = predict(costs(variant), knownOf(profile, variant), IDLE, now);
      const shares = sharesOf(0.95);
      learnFrom(
        state,
        {
          variant,
          key: "k",
          companies: ALONE,
          tokens: used,
          maxTokens: 40,
          alone: true,
          above: placesIn(prediction, { latency: latencyMs, ttft: undefined, tpot: undefined }),
          ratios: ratiosOf(costs(variant), profile.of(variant), IDLE, now, ALONE, { ttftMs, latencyMs, tokens: used }),
          measured: { latency: latencyMs },
          predicted: record(METRICS, (metric) => record(LEVELS, (level) => timeAt(prediction, metric, shares[level]))),
        },
        0,
      );
    }
    for (const variant of [BASE, SMALL]) {
      const { within, requests } = calibrationOf(state, variant).latency!;
      expect(requests).toBeGreaterThan(400);
      expect(Math.abs(within.p50 - 0.5)).toBeLessThan(0.08);
      expect(Math.abs(within.p90 - 0.9)).toBeLessThan(0.05);
      expect(Math.abs(within.high - 0.95)).toBeLessThan(0.04);
      expect(within.p99).toBeGreaterThan(0.95);
    }
  }, 30_000);

  test("is the same state for the same observations", () => {
    const [a, b]: LatencyState[] = [{}, {}];
    for (const state of [a!, b!]) observe(state, BASE, 2, 1000, 10);
    expect(a).toEqual(b);
    expect(JSON.parse(JSON.stringify(a))).toEqual(a);
  });

  test("that could not be is left out", () => {
    expect(
      ratiosOf(costs(BASE), seed.of(BASE), IDLE, work(100, 1), ALONE, { ttftMs: 5, latencyMs: 5, tokens: 0 }),
    ).toEqual({});
    const one = ratiosOf(costs(BASE), seed.of(BASE), IDLE, work(100, 1), ALONE, { ttftMs: 5, latencyMs: 5, tokens: 1 });
    expect(one).not.toHaveProperty("tpot");
    const state: LatencyState = {};
    learnLatency(state, BASE, ALONE, { ttft: Number.NaN, tpot: 0, latency: Number.POSITIVE_INFINITY }, 0);
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
          variant: BASE,
          key,
          companies: ALONE,
          alone: true,
          above: {},
          tokens,
          maxTokens: 500,
          ratios: {},
          measured: {},
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
    expect(lengthsOf(state.lengths, "short", 1, 0.95, 0)).toEqual(exactly(1));
    const { cases } = lengthsOf(state.lengths, "none", 500, 0.95, 0);
    expect(cases.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9);
  });
});

describe("later requests", () => {
  /** One a second for ten minutes: half lose an answer of worth 0.6 by waiting for 100 ms, half have no limit. */
  const arrivals = () => {
    const state = newArrivals();
    for (let second = 0; second < 600; second++) {
      const timed = second % 2 === 1;
      const losses = timed ? [{ delayMs: 100, lost: 0.6 }] : [];
      learnArrival(state, { dueMs: timed ? 400 : Number.POSITIVE_INFINITY, losses }, second * 1000);
    }
    return state;
  };

  test("lose what those are worth whose time to spare is less than the busy time left", () => {
    const crowding = crowdingOf(arrivals(), 599_000);
    expect(crowding(0)).toBe(0);
    expect(crowding(90)).toBeLessThan(0.001);
    // 0.6 times 0.5 of 1 a second, over the 900 ms in which a wait of more than 100 ms is left.
    expect(crowding(1000)).toBeCloseTo(0.27, 1);
    expect(crowding(2000)).toBeCloseTo(0.57, 1);
    expect(crowdingOf(arrivals(), 599_000 + 3_000_000)(1000)).toBeLessThan(0.001);
    expect(crowdingOf(newArrivals(), 0)(1000)).toBe(0);
  });

  test("fall from one variant to the next as they wait", () => {
    const options = [
      { slackMs: 50, worth: 1 },
      { slackMs: 20, worth: 0.9 },
      { slackMs: 200, worth: 0.4 },
      { slackMs: -5, worth: 0.99 },
    ];
    expect(lossesOf(options)).toEqual([
      { delayMs: 200, lost: 0.4 },
      { delayMs: 50, lost: 0.6 },
    ]);
  });

  test("overtake a request when they are due before it", () => {
    const overtaking = overtakingOf(arrivals(), 599_000);
    expect(overtaking(300, 1000)).toBe(0);
    expect(overtaking(500, 1000)).toBeCloseTo(1 - Math.exp(-0.5), 1);
    expect(overtaking(Number.POSITIVE_INFINITY, 2000)).toBeCloseTo(1 - Math.exp(-1), 1);
    expect(overtakingOf(newArrivals(), 0)(500, 1000)).toBe(0);
  });
});
