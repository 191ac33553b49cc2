import { beforeAll, describe, expect, test } from "vitest";
import trace from "../../bench/routing/azure-conversations.json";
import { arrivals, type Load, recordedLoad, syntheticLoad } from "../../bench/routing/load.ts";
import { random } from "../../bench/routing/random.ts";
import { idleOn, simulate } from "../../bench/routing/simulate.ts";
import { bestFixed, budgetOf, dominates, judge, type Scene, type Verdict } from "../../bench/routing/verdict.ts";
import { calibrationOf } from "../../src/routing/state.ts";
import { catalogue } from "../routes/gateway.ts";
import { madeUpQualities } from "./made-up.ts";

// The real router over a simulated replica, on a machine slower than the reference, on which every variant is off by up to a tenth.
const base = "smollm2-135m";
const machine = {
  prefill: 1.7,
  decode: 1.2,
  noise: 0.1,
  misfit: (variant: string) => 0.9 + ((variant.length * 37) % 20) / 100,
};
const qualities = madeUpQualities(catalogue, base);
const idle = idleOn(catalogue, machine);
const scene: Scene = { variants: [...catalogue.keys()], base, idle, qualities };
const REQUESTS = 400;
/** Every sixth variant, from the best to the fastest. */
const FIXED = [...scene.variants.filter((_, i) => i % 6 === 0), `${base}-franken-all-except-last-two`];

async function replay(load: Load, choose: (index: number) => string | undefined) {
  const at = arrivals(load, 0.1, (request) => idle(request, base).latency);
  const { outcomes, state } = await simulate({
    ...{ catalogue, qualities, machine, requests: load.requests, arrivals: at, choose, seed: 3 },
    budgetOf: (request) => budgetOf(scene, request),
  });
  return { verdict: judge(scene, load.requests, outcomes), outcomes, state };
}

describe.each([
  syntheticLoad(REQUESTS),
  recordedLoad(trace as unknown as Parameters<typeof recordedLoad>[0], REQUESTS),
])("on the load $name", (load) => {
  let auto: Awaited<ReturnType<typeof replay>>;
  const fixed = new Map<string, Verdict>();
  beforeAll(async () => {
    auto = await replay(load, () => undefined);
    for (const variant of FIXED) fixed.set(variant, (await replay(load, () => variant)).verdict);
  }, 120_000);

  test("auto meets 96 in 100 of the budgets that can be met", () => {
    expect(auto.verdict.eligible).toBeGreaterThan(REQUESTS / 2);
    expect(auto.verdict.met).toBeGreaterThanOrEqual(0.96);
  });

  test("its answers are as good as the best fixed choice's in hindsight, within a point", () => {
    const [, best] = bestFixed(fixed, 0.96)!;
    expect(auto.verdict.quality).toBeGreaterThan(best.quality - 1);
  });

  test("no fixed choice is better, and each brings less quality in time", () => {
    for (const [variant, verdict] of fixed) {
      expect(dominates(verdict, auto.verdict), variant).toBe(false);
      expect(auto.verdict.worth, variant).toBeGreaterThan(verdict.worth);
    }
  });

  test("a random split is worse in what it meets and brings", async () => {
    const next = random(5);
    const { verdict } = await replay(load, () => scene.variants[Math.floor(next() * scene.variants.length)]);
    expect(verdict.met).toBeLessThan(auto.verdict.met - 0.2);
    expect(verdict.worth).toBeLessThan(auto.verdict.worth);
  }, 60_000);

  test("its predictions hold as often as they say", () => {
    let [requests, within] = [0, 0];
    for (const variant of scene.variants) {
      const held = calibrationOf(auto.state, variant).latency;
      requests += held?.requests ?? 0;
      within += (held?.requests ?? 0) * (held?.within.high ?? 0);
    }
    expect(requests).toBe(REQUESTS);
    expect(within / requests).toBeGreaterThan(0.9);
  });

  test("it decides the same again", async () => {
    expect((await replay(load, () => undefined)).outcomes).toEqual(auto.outcomes);
  }, 60_000);
});
