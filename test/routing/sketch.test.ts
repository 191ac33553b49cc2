import { describe, expect, test } from "vitest";
import { mulberry32 } from "../../evaluation/random.ts";
import { agingOf, ENOUGH, HALF_LIFE_MS, known, learn, SHARED_FLOOR } from "../../src/routing/layers.ts";
import {
  add,
  distributionOf,
  emptySketch,
  GAMMA,
  merge,
  quantile,
  quantilesOf,
  type Sketch,
  scale,
  shareBelow,
  valueAt,
  weightOf,
} from "../../src/routing/sketch.ts";

/** Log-normal, heavy-tailed and two-humped values, 2,000 of each. */
function samples(kind: number): number[] {
  const next = mulberry32(kind + 1);
  return Array.from({ length: 2000 }, () => {
    const normal = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
    if (kind === 0) return Math.exp(normal / 2);
    if (kind === 1) return 0.1 / (1 - next()) ** 0.7;
    return next() < 0.3 ? 0.02 + next() / 100 : 5 + normal / 2;
  });
}

const sketchOf = (values: readonly number[]): Sketch => {
  const sketch = emptySketch();
  for (const value of values) add(sketch, value);
  return sketch;
};

describe("a sketch", () => {
  test.each([0, 1, 2])("gives quantiles of any shape within a bin (%i)", (kind) => {
    const values = samples(kind);
    const sketch = sketchOf(values);
    const sorted = values.toSorted((a, b) => a - b);
    for (const share of [0.01, 0.1, 0.5, 0.9, 0.95, 0.99, 1]) {
      const exact = sorted[Math.ceil(share * sorted.length) - 1] as number;
      expect(Math.abs(Math.log(quantile(sketch, share) / exact)), `${share}`).toBeLessThan(Math.log(GAMMA) + 1e-9);
    }
  });

  test.each([0, 1, 2])("has each value with the share that lies below it (%i)", (kind) => {
    const distribution = distributionOf([[sketchOf(samples(kind)), 1]]);
    for (const share of [0.011, 0.1, 0.29, 0.5, 0.77, 0.95, 0.999]) {
      expect(shareBelow(distribution, valueAt(distribution, share)), `${share}`).toBeCloseTo(share, 9);
    }
  });

  test("of many parts is that of the whole, in any order", () => {
    const values = samples(1);
    const whole = sketchOf(values);
    const parts = [values.slice(0, 700), values.slice(700, 701), values.slice(701)].map(sketchOf);
    for (const order of [parts, parts.toReversed()]) {
      const merged = emptySketch();
      for (const part of order) merge(merged, part);
      expect(merged).toEqual(whole);
    }
  });

  test("weighs values, and forgets what has become too light", () => {
    const sketch = emptySketch();
    add(sketch, 1, 1);
    add(sketch, 10, 3);
    expect(quantile(sketch, 0.25)).toBeCloseTo(1, 1);
    expect(quantile(sketch, 0.26)).toBeGreaterThan(9);
    scale(sketch, 0.5);
    expect(weightOf(sketch)).toBe(2);
    for (let i = 0; i < 20; i++) scale(sketch, 0.5);
    expect(sketch).toEqual(emptySketch());
    expect(quantile(sketch, 0.5)).toBeNaN();
  });

  test("stays small whatever comes in", () => {
    const sketch = sketchOf([0, 1e-300, 1e300, Number.MIN_VALUE, 1]);
    expect(sketch.weights.length).toBeLessThan(1000);
    expect(weightOf(sketch)).toBe(5);
  });
});

describe("layers", () => {
  const p50 = (...args: Parameters<typeof known>): number => quantilesOf(known(...args).parts, [0.5])[0] as number;

  test("know what all have learnt, then their own, and say how much of enough they lack", () => {
    const all = {};
    expect(known(undefined, [undefined], 0)).toEqual({ parts: [], own: 0, missing: ENOUGH });
    for (let i = 0; i < 30; i++) learn(agingOf(all, "*", 0), 4, 0, SHARED_FLOOR);
    const wide = agingOf(all, "*", 0);
    expect(p50(undefined, [wide], 0) / 4).toBeCloseTo(1, 1);
    expect(known(undefined, [wide], 0).missing).toBe(0);
    for (let i = 0; i < 30; i++) learn(agingOf(all, "v", 0), 9, 0);
    const narrow = agingOf(all, "v", 0);
    expect(p50(narrow, [wide], 0) / 9).toBeCloseTo(1, 1);
    expect(known(narrow, [wide], 0)).toMatchObject({ parts: [[narrow.sketch, 1]], own: 30, missing: 0 });
  });

  test("take from each wider one what the narrower ones lack", () => {
    const all = {};
    for (const [key, count] of [
      ["narrow", 5],
      ["wide", 10],
      ["widest", 100],
    ] as const)
      for (let i = 0; i < count; i++) learn(agingOf(all, key, 0), 1, 0, SHARED_FLOOR);
    const [narrow, wide, widest] = ["narrow", "wide", "widest"].map((key) => agingOf(all, key, 0));
    const { parts, own, missing } = known(narrow, [wide, undefined, widest], 0);
    const weights = parts.map(([sketch, factor]) => factor * weightOf(sketch));
    expect(weights.map(Math.round)).toEqual([5, 10, ENOUGH - 15]);
    expect([own, missing]).toEqual([5, 0]);
    expect(known(narrow, [wide], 0).missing).toBe(ENOUGH - 15);
  });

  test("follow a load that has changed within some hundred requests", () => {
    const all = {};
    for (let i = 0; i < 5000; i++) learn(agingOf(all, "v", 0), 1, 0);
    for (let i = 0; i < 150; i++) learn(agingOf(all, "v", 0), 3, 0);
    expect(p50(agingOf(all, "v", 0), [], 0) / 3).toBeCloseTo(1, 1);
  });

  test("forget a variant's old load with time, but not the machine", () => {
    const all = {};
    for (let i = 0; i < 100; i++) learn(agingOf(all, "*", 0), 4, 0, SHARED_FLOOR);
    for (let i = 0; i < 100; i++) learn(agingOf(all, "v", 0), 40, 0);
    const [narrow, wide] = [agingOf(all, "v", 0), agingOf(all, "*", 0)];
    const later = 10 * HALF_LIFE_MS;
    expect(p50(narrow, [wide], 0)).toBeGreaterThan(39);
    expect(p50(narrow, [wide], later) / 4).toBeCloseTo(1, 1);
    learn(agingOf(all, "*", 0), 4, later, SHARED_FLOOR);
    expect(weightOf(wide.sketch)).toBeCloseTo(SHARED_FLOOR + 1, 6);
  });
});
