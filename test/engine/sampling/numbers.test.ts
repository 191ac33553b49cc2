import { describe, expect, it } from "vitest";
import { exp, log } from "../../../src/engine/sampling/exp.ts";
import { philox, uniform } from "../../../src/engine/sampling/philox.ts";

describe("philox", () => {
  // Known answers that come with the paper's reference implementation (Random123, `kat_vectors`, philox4x32 with 10 rounds).
  it.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as const)("turns counter %j and key %j into %j", (counter, key, words) => {
    expect(philox(counter, key)).toEqual(words);
  });

  it("is uniform over positions", () => {
    const bins = new Array<number>(16).fill(0);
    for (let position = 0; position < 16_000; position++) bins[Math.floor(16 * uniform(99, 0, position))]!++;
    const chiSquare = bins.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
    // The 99.9th percentile with 15 degrees of freedom.
    expect(chiSquare).toBeLessThan(37.7);
  });
});

describe("exp and log", () => {
  it("exp is within 1e-13 of Math.exp", () => {
    for (let x = -690; x <= 0; x += 0.0937) expect(Math.abs(exp(x) / Math.exp(x) - 1)).toBeLessThan(1e-13);
    expect(exp(0)).toBe(1);
    expect(exp(Number.NEGATIVE_INFINITY)).toBe(0);
    expect(exp(Number.NaN)).toBeNaN();
  });

  it("log is within 1e-15 of Math.log", () => {
    for (let x = 1e-6; x < 1e9; x *= 1.0137) {
      expect(Math.abs(log(x) - Math.log(x))).toBeLessThanOrEqual(1e-15 * Math.max(1, Math.abs(Math.log(x))));
    }
    expect(log(1)).toBe(0);
  });
});
