import { describe, expect, it } from "vitest";
import { philox } from "../../src/engine/sampling/philox.ts";
import { alarmThreshold, logEvidence } from "../../src/monitor/evidence.ts";

/** Whether each of `items` is discordant, at a rate; the same for the same seed. */
const simulate = (items: number, rate: number, seed: number): boolean[] =>
  Array.from({ length: items }, (_, i) => philox([i, 0, 0, 0], [seed, 0])[0] / 2 ** 32 < rate);

/** The share of many simulated monitors that raise an alarm at any time. */
const alarms = (simulated: number, items: number, rate: number, nullRate: number, threshold: number): number => {
  let count = 0;
  for (let seed = 0; seed < simulated; seed++) {
    if (logEvidence(simulate(items, rate, seed), { nullRate }) >= threshold) count++;
  }
  return count / simulated;
};

/** Items until the alarm. */
const itemsUntil = (discordant: readonly boolean[], nullRate: number, threshold: number): number =>
  discordant.findIndex((_, i) => logEvidence(discordant.slice(0, i + 1), { nullRate }) >= threshold) + 1;

describe("the evidence", () => {
  it("raises a false alarm no more often than its level, however often one looks", () => {
    // Three standard errors of 600 draws at a level of 0.1 are 0.037.
    expect(alarms(600, 300, 0.05, 0.05, Math.log(10))).toBeLessThanOrEqual(0.137);
    expect(alarms(600, 300, 0.05, 0.05, Math.log(1000))).toBeLessThanOrEqual(0.001 + 0.0039);
    // It is the test's merit, not the simulation's: at four times the rate nearly all raise one.
    expect(alarms(100, 300, 0.2, 0.05, Math.log(1000))).toBeGreaterThan(0.95);
  });

  it("needs no more than a few items of a broken variant, and never a single one", () => {
    const threshold = alarmThreshold(0.001, 36, 0);
    expect(itemsUntil([true, true, true, true], 0.001, threshold)).toBe(2);
    for (let seed = 0; seed < 100; seed++) {
      const items = itemsUntil(simulate(200, 0.5, seed), 0.001, threshold);
      expect(items).toBeGreaterThan(1);
      expect(items).toBeLessThanOrEqual(20);
    }
  });

  it("is the mean likelihood ratio: hand-computed for one item, and it remembers its peak", () => {
    const rates = Array.from({ length: 20 }, (_, i) => 0.01 * (0.95 / 0.01) ** ((i + 1) / 20));
    const mean = rates.reduce((sum, rate) => sum + rate / 0.01, 0) / 20;
    expect(logEvidence([true], { nullRate: 0.01 })).toBeCloseTo(Math.log(mean), 12);
    expect(logEvidence([true, ...Array<boolean>(50).fill(false)], { nullRate: 0.01 })).toBeCloseTo(Math.log(mean), 12);
    expect(logEvidence(Array<boolean>(50).fill(false), { nullRate: 0.01 })).toBe(0);
    expect(logEvidence([], { nullRate: 0.01 })).toBe(0);
  });
});

it("shares its level among variants and runs, and never spends more than it has", () => {
  const spent = (runs: number) =>
    Array.from({ length: runs }, (_, run) => 36 * Math.exp(-alarmThreshold(0.001, 36, run))).reduce((a, b) => a + b);
  expect(spent(1)).toBeCloseTo(0.0005, 12);
  expect(spent(1000)).toBeLessThan(0.001);
});
