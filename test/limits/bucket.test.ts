import { describe, expect, test } from "vitest";
import { type Buckets, take } from "../../src/limits/bucket.ts";
import { formatDuration } from "../../src/limits/headers.ts";

/** Takes one thing after the other from buckets that are full at time 0. */
function sequence(limits: Parameters<typeof take>[1]) {
  let kept: Buckets = {};
  return (now: number, amounts: { requests?: number; tokens?: number }) => {
    const { buckets, verdict } = take(kept, limits, { requests: 0, tokens: 0, ...amounts }, now);
    kept = buckets;
    return verdict;
  };
}

describe("a bucket", () => {
  test("lets a minute's worth through at once, then at the limit's pace", () => {
    const at = sequence({ requests: 3 });
    for (const remaining of [2, 1, 0]) {
      const { refused, standings } = at(0, { requests: 1 });
      expect(refused).toBeUndefined();
      expect(standings).toEqual({ requests: { limit: 3, remaining, resetMs: (3 - remaining) * 20_000 } });
    }
    expect(at(0, { requests: 1 }).refused).toEqual({ kind: "requests", waitMs: 20_000 });
    expect(at(15_000, { requests: 1 }).refused).toEqual({ kind: "requests", waitMs: 5_000 });
    expect(at(20_000, { requests: 1 }).refused).toBeUndefined();
    expect(at(20_000, { requests: 1 }).refused).toEqual({ kind: "requests", waitMs: 20_000 });
  });

  test("holds no more than a minute's worth, however long it waits and whatever is given back", () => {
    const at = sequence({ tokens: 100 });
    expect(at(0, { tokens: 100 }).refused).toBeUndefined();
    expect(at(0, { tokens: -60 }).standings.tokens).toMatchObject({ remaining: 60, resetMs: 24_000 });
    expect(at(0, { tokens: -60 }).standings.tokens).toMatchObject({ remaining: 100, resetMs: 0 });
    expect(at(3_600_000, { tokens: 1 }).standings.tokens?.remaining).toBe(99);
  });

  test("that can never hold an amount says so", () => {
    expect(sequence({ tokens: 100 })(0, { tokens: 101 }).refused?.waitMs).toBe(Number.POSITIVE_INFINITY);
  });

  test("takes all or nothing", () => {
    const at = sequence({ requests: 5, tokens: 100 });
    const { refused, standings } = at(0, { requests: 1, tokens: 101 });
    expect(refused?.kind).toBe("tokens");
    expect(standings).toMatchObject({ requests: { remaining: 5 }, tokens: { remaining: 100 } });
  });

  test("does not go back when the clock does", () => {
    const at = sequence({ requests: 2 });
    at(60_000, { requests: 2 });
    expect(at(0, { requests: 1 }).refused).toEqual({ kind: "requests", waitMs: 30_000 });
  });

  test("of a limit that was lowered holds the lower one", () => {
    const { buckets } = take({}, { requests: 100 }, { requests: 1, tokens: 0 }, 0);
    const { verdict } = take(buckets, { requests: 10 }, { requests: 1, tokens: 0 }, 0);
    expect(verdict.standings.requests).toMatchObject({ limit: 10, remaining: 9 });
  });
});

test.each([
  [0, "0s"],
  [6, "6ms"],
  [999.2, "1s"],
  [8_640, "8.64s"],
  [59_999, "59.999s"],
  [60_000, "1m0s"],
  [360_000, "6m0s"],
  [7_200_500, "120m0.5s"],
])("%d ms are told as %s", (milliseconds, text) => {
  expect(formatDuration(milliseconds)).toBe(text);
});
