import { beforeAll, describe, expect, test } from "vitest";
import trace from "../../bench/routing/azure-conversations.json";
import { foresee } from "../../bench/routing/foresight.ts";
import { parseLadder, withLadder, withRungs } from "../../bench/routing/ladder.ts";
import { arrivals, type Load, recordedLoad, syntheticLoad } from "../../bench/routing/load.ts";
import { lookAhead } from "../../bench/routing/lookahead.ts";
import { knowTimes } from "../../bench/routing/online.ts";
import { misfitsOf } from "../../bench/routing/replica.ts";
import { checksOf } from "../../bench/routing/report.ts";
import { idleOn, replayFixed, simulate } from "../../bench/routing/simulate.ts";
import { caseOf, compare, judge, type Outcome, type Scene, type Verdict } from "../../bench/routing/verdict.ts";
import { calibrationOf } from "../../src/routing/state.ts";
import { readCatalogue } from "../engine/wasm/built.ts";

// The real router over a simulated replica, on a machine slower than the reference, on which every variant is off by up to a tenth.
const base = "smollm2-135m";
const served = await readCatalogue();
const ladder = [
  { layers: 20, accNorm: 33 },
  { layers: 15, accNorm: 30.5 },
  { layers: 10, accNorm: 28.5 },
];
const catalogue = withLadder(served, ladder);
/** Of the base and the rungs alone: no other variant of today has a score here. */
const results = new Map(Array.from({ length: 1000 }, (_, item) => [item, { acc_norm: item < 407 ? 1 : 0 }]));
const qualities = withRungs(
  { of: (variant, task) => (variant === base && task === "hellaswag" ? { results } : undefined) },
  catalogue,
  ladder,
);
const machine = {
  prefill: 1.7,
  decode: 1.2,
  noise: 0.1,
  misfit: misfitsOf(catalogue),
};
const world = { catalogue, machine, seed: 3 };
const variants = [...catalogue.keys()].filter((variant) => qualities.of(variant)?.accNorm !== undefined);
const scene: Scene = { variants, base, idle: idleOn(catalogue, machine), qualities };
const REQUESTS = 500;

function trialOf(load: Load, utilisation: number) {
  const cases = load.requests.map((request) => caseOf(scene, request));
  const at = arrivals(load, utilisation, (request) => scene.idle(request, base).latency);
  return { cases, arrivals: cases.map(({ request, budget }, i) => ({ at: at[i] as number, request, budget })) };
}

const loads = [
  syntheticLoad(REQUESTS),
  recordedLoad(trace as unknown as Parameters<typeof recordedLoad>[0], REQUESTS),
] as const;

describe.each(loads.map((load) => [load.name, load] as const))("on the load %s", (_, load) => {
  const trial = trialOf(load, 0.1);
  const verdictOf = (outcomes: readonly Outcome[]): Verdict => judge(qualities, trial.cases, outcomes);
  let outcomes: Outcome[];
  let auto: Verdict;
  beforeAll(async () => {
    ({ outcomes } = await simulate({ ...world, qualities, arrivals: trial.arrivals }));
    auto = verdictOf(outcomes);
  }, 120_000);

  test("auto brings nearly as much as perfect foresight", () => {
    expect(auto.useful.length).toBeGreaterThan(REQUESTS / 2);
    const bound = verdictOf(foresee(world, scene, trial.cases, trial.arrivals, (i) => outcomes[i]?.variant ?? base));
    expect(bound.mean).toBeGreaterThanOrEqual(auto.mean);
    // Of few requests, the first ones are answered before anything has been learnt.
    expect(auto.mean / bound.mean).toBeGreaterThan(0.93);
  });

  test("what knows every step's time lies between auto and perfect foresight", () => {
    const known = knowTimes(world, scene, trial.cases, trial.arrivals);
    expect(known.map(({ endedAt = 0 }, i) => endedAt > (trial.arrivals[i]?.at ?? 0))).not.toContain(false);
    // Its outcomes are those of the queue that its choices make.
    expect(known).toEqual(replayFixed(world, trial.arrivals, (i) => known[i]?.variant ?? base));
    const online = verdictOf(known);
    expect(online.mean).toBeGreaterThan(auto.mean);
    const bound = foresee(world, scene, trial.cases, trial.arrivals, (i) => known[i]?.variant ?? base);
    expect(verdictOf(bound).mean).toBeGreaterThanOrEqual(online.mean);
  });

  test.each([true, false])("what looks ahead decides on the same queue (times known: %s)", (knowsTimes) => {
    const [cases, some] = [trial.cases.slice(0, 25), trial.arrivals.slice(0, 25)];
    const outcomes = lookAhead(world, scene, cases, some, { futures: 8, knowsTimes });
    expect(outcomes).toEqual(replayFixed(world, some, (i) => outcomes[i]?.variant ?? base));
    const bound = judge(
      qualities,
      cases,
      foresee(world, scene, cases, some, (i) => outcomes[i]?.variant ?? base),
    );
    const ahead = judge(qualities, cases, outcomes);
    expect(ahead.mean).toBeLessThanOrEqual(bound.mean);
    expect(ahead.mean).toBeGreaterThan(0.9 * bound.mean);
  }, 60_000);

  test("auto brings more in time than any fixed variant, by two standard errors", () => {
    for (const variant of variants) {
      const { difference, se } = compare(auto, verdictOf(replayFixed(world, trial.arrivals, () => variant)));
      expect(difference, variant).toBeGreaterThan(2 * se);
    }
  });

  test("its decisions are the same again", async () => {
    expect((await simulate({ ...world, qualities, arrivals: trial.arrivals })).outcomes).toEqual(outcomes);
  }, 60_000);
});

describe.each([0.1, 0.3, 0.6])("at a load of %d", (utilisation) => {
  test.each([
    base,
    `${base}-made-up-15`,
  ])("predictions for %s are kept as often as they say, within two points", async (variant) => {
    const kept = new Map<string, number[]>();
    for (const seed of [1, 2]) {
      const load = syntheticLoad(1000, seed);
      const trial = trialOf(load, utilisation);
      const work = (name: string): number =>
        load.requests.reduce((sum, request) => sum + scene.idle(request, name).latency, 0);
      // As busy with the variant as the load says of the base.
      const stretch = work(variant) / work(base);
      const arriving = trial.arrivals.map((arrival) => ({ ...arrival, at: stretch * arrival.at }));
      const { state } = await simulate({ ...world, qualities, arrivals: arriving, choose: () => variant });
      for (const [metric, { within }] of Object.entries(calibrationOf(state, variant))) {
        for (const level of ["p90", "high"] as const) {
          const name = `${metric} ${level}`;
          kept.set(name, [...(kept.get(name) ?? []), within[level]]);
        }
      }
    }
    expect(kept.size).toBe(6);
    for (const [name, [one = 0, two = 0]] of kept) {
      const share = name.endsWith("high") ? 0.95 : 0.9;
      expect(Math.abs((one + two) / 2 - share), name).toBeLessThan(0.02);
    }
  }, 120_000);

  test("auto brings more than the base alone", async () => {
    const trial = trialOf(syntheticLoad(REQUESTS), utilisation);
    const { outcomes } = await simulate({ ...world, qualities, arrivals: trial.arrivals });
    const auto = judge(qualities, trial.cases, outcomes);
    const alone = judge(
      qualities,
      trial.cases,
      replayFixed(world, trial.arrivals, () => base),
    );
    const { difference, se } = compare(auto, alone);
    expect(difference).toBeGreaterThan(2 * se);
  }, 120_000);
});

test("variants that compute the same are learnt of as one", async () => {
  const twin = `${base}-franken-baseline`;
  const choose = (index: number): string => (index % 2 === 0 ? twin : base);
  const { arrivals: arriving } = trialOf(syntheticLoad(60), 0.1);
  const { state, router } = await simulate({ ...world, qualities, arrivals: arriving, choose });
  expect(Object.keys(state.latency).filter((key) => key.startsWith(`${twin} `))).toEqual([]);
  const report = await router.report(() => {}, 32);
  const [first, second] = [base, twin].map((id) => report.variants.find(({ variant }) => variant === id));
  expect(first?.observations).toBeGreaterThan(30);
  expect({ ...second, variant: base }).toEqual(first);
}, 60_000);

test("predictions of a machine that was not known yet do not teach where measured times lie in them", async () => {
  const placesAfter = async (count: number): Promise<number> => {
    const { state } = await simulate({ ...world, qualities, arrivals: trialOf(syntheticLoad(count), 0.1).arrivals });
    return Object.keys(state.latency).filter((key) => key.startsWith("=")).length;
  };
  expect(await placesAfter(20)).toBe(0);
  expect(await placesAfter(80)).toBeGreaterThan(0);
});

describe("made-up rungs", () => {
  test("have the scores that they are given, word perplexity too", () => {
    const rungs = parseLadder("20:33.0:60,15:30.5");
    const pages = new Map(
      [300, 700].map((words, item) => [item, { words, logLikelihood: -words * (3.4 + item / 5), acc_norm: 0 }]),
    );
    const of = (variant: string, task: string) =>
      variant === base ? { results: task === "hellaswag" ? results : pages } : undefined;
    const book = withRungs({ of }, withLadder(served, rungs), rungs);
    const [twenty, fifteen] = [20, 15].map((layers) => book.of(`${base}-made-up-${layers}`));
    expect(twenty?.accNorm).toBeCloseTo(33, 6);
    expect(twenty?.wordPerplexity).toBeCloseTo(60, 6);
    expect(twenty?.shares.perplexity).toBeLessThan(1);
    expect(fifteen?.accNorm).toBeCloseTo(30.5, 6);
    expect(fifteen?.wordPerplexity).toBeUndefined();
  });

  test.each(["20", "20:", "20:101", "1.5:30", "20:33:0", "20:33:60:1", "a:b"])("are refused as %s", (text) => {
    expect(() => parseLadder(text)).toThrow("--ladder");
  });
});

describe("the verdict", () => {
  const verdict = (useful: readonly number[], answers: [string, number][] = []): Verdict => ({
    useful,
    mean: useful.reduce((sum, u) => sum + u, 0) / useful.length,
    byHellaswag: 0,
    met: 1,
    answers: new Map(answers),
  });
  const half = (n: number, value: number) => Array.from({ length: 100 }, (_, i) => (i < n ? value : 0));
  const scene = { goal: 0.95, base: new Set(["base"]), research: new Set(["broken"]) };
  const check = (auto: Verdict, other: Verdict, bound: Verdict, name = "other", ladder = 2) => {
    const verdicts = new Map([
      ["auto", auto],
      [name, other],
    ]);
    return checksOf(auto, { ...scene, ladder, verdicts, bound }).map(([, holds]) => holds);
  };

  test("is yes for what is near the bound and better than the others", () => {
    expect(check(verdict(half(90, 1)), verdict(half(50, 1)), verdict(half(92, 1)))).toEqual([true, true, true]);
  });
  test.each([
    ["narrow", 1.2, 60, 60, true],
    ["narrow", 1.2, 60, 80, false],
    ["wide", 2, 60, 60, false],
    ["wide", 2, 60, 40, true],
  ])("beside the base on a %s ladder (%d) is as asked for %d to %d", (_, ladder, auto, base, holds) => {
    const [, beside] = check(verdict(half(auto, 1)), verdict(half(base, 1)), verdict(half(90, 1)), "base", ladder);
    expect(beside).toBe(holds);
  });
  test("is no for what is far from the bound, not better than another, or broken", () => {
    expect(check(verdict(half(60, 1)), verdict(half(60, 1)), verdict(half(90, 1)))).toEqual([false, false, true]);
    expect(check(verdict(half(90, 1), [["broken", 1]]), verdict(half(50, 1)), verdict(half(90, 1)))[2]).toBe(false);
  });
});
