import { describe, expect, it } from "vitest";
import { downshift, followDeadline, type Progress } from "../../src/routing/downshift.ts";

const progress: Progress = {
  allowedMs: 1000,
  elapsedMs: 400,
  tpotMs: 10,
  tokensLeft: 60,
  stepMs: 20,
  lighter: [
    { variant: "slow", stepMs: 18, quality: 40 },
    { variant: "good", stepMs: 14, quality: 35 },
    { variant: "fast", stepMs: 10, quality: 30 },
    { variant: "unscored", stepMs: 9, quality: undefined },
  ],
};

describe("downshift", () => {
  it.each([
    ["in time to the millisecond: stays", {}, undefined],
    ["one token behind: the best that is in time", { tokensLeft: 61 }, "slow"],
    ["further behind: one that is fast enough", { tokensLeft: 80 }, "good"],
    ["further still", { tokensLeft: 110 }, "fast"],
    ["only one without scores is in time", { tokensLeft: 130 }, "unscored"],
    ["beyond help: the fastest", { tokensLeft: 500 }, "unscored"],
    ["too late already: the fastest", { elapsedMs: 1200 }, "unscored"],
    ["nothing lighter", { tokensLeft: 500, lighter: [] }, undefined],
    [
      "nothing that saves enough",
      { tokensLeft: 61, lighter: [{ variant: "a", stepMs: 19.5, quality: 41 }] },
      undefined,
    ],
    ["no tokens left", { tokensLeft: 0, elapsedMs: 999 }, undefined],
  ])("%s", (_, change, expected) => {
    expect(downshift({ ...progress, ...change })).toBe(expected);
  });

  it("prefers the faster among equals", () => {
    const lighter = ["a", "b"].map((variant, i) => ({ variant, stepMs: 12 - i, quality: 33 }));
    expect(downshift({ ...progress, tokensLeft: 80, lighter })).toBe("b");
  });
});

describe("followDeadline", () => {
  it("measures a few tokens, asks once, and measures anew after a switch", () => {
    const asked: string[] = [];
    const follower = followDeadline({
      allowedMs: 1000,
      elapsedMs: 100,
      startedAt: 5000,
      expectedTokens: 100,
      variant: "whole",
      lighterThan(variant) {
        asked.push(variant);
        return { stepMs: 10, lighter: [{ variant: `${variant}-lighter`, stepMs: 6, quality: 30 }] };
      },
    });
    const times = Array.from({ length: 12 }, (_, i) => 5100 + 20 * i);
    const answers = times.map((now) => follower.token(now));
    expect(answers.indexOf("whole-lighter")).toBe(4);
    expect(answers.filter(Boolean)).toHaveLength(1);
    follower.switched("whole-lighter", 5330);
    const after = Array.from({ length: 6 }, (_, i) => follower.token(5335 + 5 * i));
    expect(after).toEqual(new Array(6).fill(undefined));
    expect(new Set(asked)).toEqual(new Set(["whole", "whole-lighter"]));
  });
});
