import { describe, expect, it } from "vitest";
import { mulberry32 } from "../../../evaluation/random.ts";
import { createMeanSequence } from "../../../src/experiments/stats/betting.ts";
import vectors from "../../fixtures/confseq/vectors.json";

const range = { lower: 0, upper: 1 };

describe("mean sequence", () => {
  for (const { name, alpha, values, crossings, intervals } of vectors.mean) {
    it(`rejects each mean at the same observation as confseq: ${name}`, () => {
      const thresholds = crossings.map(({ threshold }) => threshold);
      // One sequence each: a rejected threshold ends the other side's quest beyond it.
      for (const { threshold, above, below } of crossings) {
        const sequence = createMeanSequence({ alpha, range, thresholds: [threshold] });
        const first = { above: null as number | null, below: null as number | null };
        values.forEach((value, index) => {
          sequence.observe(value, 0, 1);
          if (sequence.isAbove(threshold)) first.above ??= index + 1;
          if (sequence.isBelow(threshold)) first.below ??= index + 1;
        });
        expect({ threshold, ...first }).toEqual({ threshold, above, below });
      }
      expect(thresholds).not.toHaveLength(0);
    });

    it(`has confseq's limits, to its grid: ${name}`, () => {
      const sequence = createMeanSequence({ alpha, range });
      values.forEach((value, index) => {
        sequence.observe(value, 0, 1);
        const expected = intervals.find(({ count }) => count === index + 1);
        if (!expected) return;
        const interval = sequence.interval();
        expect(Math.abs(interval.lower - expected.lower)).toBeLessThan(0.0011);
        expect(Math.abs(interval.upper - expected.upper)).toBeLessThan(0.0011);
      });
    });
  }

  it("gives limits that meet what was shown at thresholds, and never widen", () => {
    const random = mulberry32(1);
    const sequence = createMeanSequence({ alpha: 0.05, range, thresholds: [0.4] });
    let before = { lower: 0, upper: 1 };
    for (let i = 0; i < 400; i++) {
      sequence.observe(random() < 0.6 ? 1 : 0, 0, 1);
      if (i % 20 !== 0) continue;
      const interval = sequence.interval();
      expect(interval.lower).toBeGreaterThanOrEqual(before.lower);
      expect(interval.upper).toBeLessThanOrEqual(before.upper);
      if (sequence.isAbove(0.4)) expect(interval.lower).toBeGreaterThanOrEqual(0.4);
      before = interval;
    }
    expect(sequence.isAbove(0.4)).toBe(true);
    expect(sequence.isBelow(0.4)).toBe(false);
  });

  it("keeps what it said first when the data change their mean", () => {
    const sequence = createMeanSequence({ alpha: 0.05, range, thresholds: [0.4, 0.6] });
    for (let i = 0; i < 200; i++) sequence.observe(0.9, 0, 1);
    for (let i = 0; i < 5000; i++) sequence.observe(0.1, 0, 1);
    expect(sequence.isAbove(0.6)).toBe(true);
    expect(sequence.isBelow(0.4)).toBe(false);
    const { lower, upper } = sequence.interval();
    expect(lower).toBeLessThan(upper);
    expect(lower).toBeGreaterThanOrEqual(0.6);
  });

  it("tells about how many more observations a verdict takes", () => {
    const random = mulberry32(2);
    const sequence = createMeanSequence({ alpha: 0.05, range, thresholds: [0.5] });
    expect(sequence.needed(0.5)).toBe(Number.POSITIVE_INFINITY);
    const one = () => sequence.observe(0.35 + 0.4 * random(), 0, 1);
    for (let i = 0; i < 60; i++) one();
    const guess = sequence.needed(0.5);
    let more = 0;
    for (; sequence.needed(0.5) > 0; more++) one();
    expect(guess).toBeGreaterThan(more / 3);
    expect(guess).toBeLessThan(more * 3);
  });

  it("refuses what would void the proof", () => {
    const sequence = createMeanSequence({ alpha: 0.05, range });
    expect(() => sequence.observe(1.2, 0, 1)).toThrow("must lie between 0 and 1");
    expect(() => sequence.observe(Number.NaN, 0, 1)).toThrow(RangeError);
    expect(() => createMeanSequence({ alpha: 1, range })).toThrow("alpha is 1");
    expect(() => createMeanSequence({ alpha: 0.05, range, thresholds: [1] })).toThrow("threshold 1");
  });
});
