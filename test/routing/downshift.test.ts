import { describe, expect, it } from "vitest";
import { downshift, type Progress } from "../../src/routing/downshift.ts";

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
