import { describe, expect, it } from "vitest";
import { mulberry32 } from "../../../evaluation/random.ts";
import { logBeta, logGamma } from "../../../src/experiments/stats/beta.ts";
import { createCounts, createQuantileSequence, leastSample } from "../../../src/experiments/stats/quantile.ts";
import vectors from "../../fixtures/confseq/vectors.json";

describe("log gamma", () => {
  it("is the logarithm of factorials, and of root pi at a half", () => {
    let factorial = 0;
    for (let n = 1; n < 200; n++) {
      factorial += Math.log(n);
      expect(logGamma(n + 1)).toBeCloseTo(factorial, 10);
    }
    expect(logGamma(0.5)).toBeCloseTo(0.5 * Math.log(Math.PI), 13);
    expect(logBeta(2, 3)).toBeCloseTo(Math.log(1 / 12), 13);
  });
});

describe("quantile sequence", () => {
  it("is surprised by the same counts as confseq", () => {
    for (const { p, alpha, count, fewest, most } of vectors.counts) {
      expect({ p, alpha, count, ...createCounts(p, alpha)(count) }).toEqual({ p, alpha, count, fewest, most });
    }
  });

  it("speaks from its least sample on, and not before", () => {
    expect(leastSample(0.9, 0.05)).toBe(68);
    expect(leastSample(0.99, 0.05)).toBe(705);
    const random = mulberry32(3);
    const sequence = createQuantileSequence(0.9, 0.05);
    for (let i = 1; i <= 68; i++) {
      sequence.observe(random());
      expect(Number.isFinite(sequence.interval().upper)).toBe(i >= 68);
    }
  });

  it("is surprised by draws less often than alpha, though looked at after each", () => {
    const random = mulberry32(4);
    for (const p of [0.5, 0.9]) {
      const counts = createCounts(p, 0.05);
      const table = Array.from({ length: 601 }, (_, count) => counts(count));
      let surprised = 0;
      for (let run = 0; run < 2000; run++) {
        let below = 0;
        for (let count = 1; count <= 600; count++) {
          if (random() < p) below++;
          if (below >= table[count]!.fewest && below <= table[count]!.most) continue;
          surprised++;
          break;
        }
      }
      // 100 are allowed; the standard error of that count is 9.7.
      expect(surprised).toBeLessThan(100);
    }
  });

  it("covers the quantile of a distribution with atoms and of one without", () => {
    const random = mulberry32(5);
    for (const [draw, truth] of [
      [() => -Math.log(1 - random()), Math.log(10)],
      [() => Math.floor(random() * 10), 8],
    ] as const) {
      let misses = 0;
      for (let run = 0; run < 100; run++) {
        const sequence = createQuantileSequence(0.9, 0.05);
        for (let i = 0; i < 200; i++) {
          sequence.observe(draw());
          sequence.interval();
        }
        const { lower, upper } = sequence.interval();
        if (lower > truth || upper < truth) misses++;
      }
      // 5 are allowed; the standard error of that count is 2.2.
      expect(misses).toBeLessThanOrEqual(5);
    }
  });

  it("closes in on the quantile", () => {
    const random = mulberry32(6);
    const sequence = createQuantileSequence(0.5, 0.05);
    for (let i = 0; i < 5000; i++) sequence.observe(random());
    const { lower, upper } = sequence.interval();
    expect(upper - lower).toBeLessThan(0.06);
    expect(lower).toBeLessThan(0.5);
    expect(upper).toBeGreaterThan(0.5);
    expect(sequence.estimate()).toBeCloseTo(0.5, 1);
  });

  it("refuses what is no number and no probability", () => {
    expect(() => createQuantileSequence(1, 0.05)).toThrow("p is 1");
    expect(() => createQuantileSequence(0.5, 0.05).observe(Number.NaN)).toThrow("not a number");
  });
});
