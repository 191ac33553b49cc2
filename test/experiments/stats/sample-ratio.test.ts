import { describe, expect, it } from "vitest";
import { mulberry32, type Random } from "../../../evaluation/random.ts";
import { logGamma } from "../../../src/experiments/stats/beta.ts";
import { createSampleRatio } from "../../../src/experiments/stats/sample-ratio.ts";

const draw = (random: Random, shares: readonly number[]): number => {
  let rest = random();
  const arm = shares.findIndex((share) => {
    rest -= share;
    return rest < 0;
  });
  return arm < 0 ? shares.length - 1 : arm;
};

describe("sample ratio", () => {
  it("is the Bayes factor of a Dirichlet-multinomial against the weights", () => {
    const shares = [0.2, 0.5, 0.3];
    const random = mulberry32(6);
    const ratio = createSampleRatio(3);
    const counts = [0, 0, 0];
    let most = 0;
    for (let n = 1; n <= 500; n++) {
      const arm = draw(random, [0.3, 0.4, 0.3]);
      ratio.observe(arm, shares);
      counts[arm]!++;
      const logFactor =
        logGamma(100) -
        logGamma(100 + n) +
        shares.reduce((sum, share, k) => sum + logGamma(100 * share + counts[k]!) - logGamma(100 * share), 0) -
        shares.reduce((sum, share, k) => sum + counts[k]! * Math.log(share), 0);
      most = Math.max(most, logFactor);
      expect(Math.log(ratio.pValue)).toBeCloseTo(-most, 8);
    }
    expect(ratio.counts).toEqual(counts);
    expect(ratio.expected[1]).toBeCloseTo(250, 8);
  });

  it("gives fewer false alarms than alpha under watching, with equal and with mixed shares", () => {
    const random = mulberry32(7);
    const runs = 2000;
    for (const kinds of [
      [[0.5, 0.5]],
      [
        [0.9, 0.1],
        [5 / 6, 1 / 6],
        [0.2, 0.8],
      ],
    ]) {
      let alarms = 0;
      for (let run = 0; run < runs; run++) {
        const ratio = createSampleRatio(2);
        for (let n = 0; n < 500; n++) {
          const shares = kinds[Math.floor(random() * kinds.length)]!;
          ratio.observe(draw(random, shares), shares);
        }
        if (ratio.pValue <= 0.05) alarms++;
      }
      // 100 are allowed; the standard error of that count is 9.7.
      expect(alarms).toBeLessThan(100);
    }
  });

  it("calls a split of 47 to 53 that should be even within 20,000 units", () => {
    const random = mulberry32(8);
    const ratio = createSampleRatio(2);
    let units = 0;
    while (ratio.pValue > 0.01 && units < 20_000) {
      ratio.observe(random() < 0.53 ? 1 : 0, [0.5, 0.5]);
      units++;
    }
    expect(units).toBeLessThan(20_000);
  });

  it("is sure of the break when one arm loses its units with a deterministic fault", () => {
    const ratio = createSampleRatio(2);
    for (let n = 0; n < 60; n++) ratio.observe(0, [0.5, 0.5]);
    expect(ratio.pValue).toBeLessThan(1e-4);
  });

  it("refuses a unit in an arm that has no share", () => {
    expect(() => createSampleRatio(2).observe(1, [1, 0])).toThrow("arm 1, whose share is 0");
    expect(() => createSampleRatio(2).observe(-1, [1, 0])).toThrow(RangeError);
  });
});
