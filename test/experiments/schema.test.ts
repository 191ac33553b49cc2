import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createExperimentSchema, metricId } from "../../src/experiments/schema.ts";

const schema = createExperimentSchema(z.strictObject({ min_hellaswag: z.number() }));

const valid = {
  id: "drop-ten",
  arms: [
    { name: "base", model: "smollm2-135m", weight: 0.5 },
    { name: "drop", model: "smollm2-135m-attn-drop-10", weight: 0.5 },
  ],
  control: "base",
  primary: { metric: "rating", margin: 0.1 },
  guardrails: [
    { metric: "latency", statistic: { quantile: 0.9 }, margin: 0.1 },
    { metric: "error", margin: 0.01 },
    { metric: "agreement", margin: 0.3 },
  ],
};

describe("experiment", () => {
  it("fills in what is left out", () => {
    expect(schema.parse(valid)).toMatchObject({
      audience: { share: 1 },
      unit: "user",
      alpha: 0.05,
      window_seconds: 86_400,
      on_verdict: "none",
      primary: { statistic: "mean" },
    });
  });

  it("names metrics by metric and statistic", () => {
    expect(schema.parse(valid).guardrails.map(metricId)).toEqual(["latency_p90", "error", "agreement"]);
    expect(metricId({ metric: "ttft", statistic: { quantile: 0.995 } })).toBe("ttft_p99.5");
  });

  it.each<[string, unknown, string, RegExp]>([
    [
      "weights that do not sum",
      { arms: [valid.arms[0], { ...valid.arms[1], weight: 0.4 }] },
      "arms",
      /sum to 0\.9; make/,
    ],
    ["one arm", { arms: [{ ...valid.arms[0], weight: 1 }] }, "arms", /two arms/],
    ["an arm twice", { arms: [valid.arms[0], { ...valid.arms[1], name: "base" }] }, "arms.1.name", /there twice/],
    ["an unknown control", { control: "nobody" }, "control", /the arms are base, drop/],
    [
      "a margin of the wrong sign",
      { primary: { metric: "rating", margin: -0.1 } },
      "primary.margin",
      /leave out the sign/,
    ],
    ["a margin as wide as the metric", { primary: { metric: "rating", margin: 2 } }, "primary.margin", /below 2/],
    ["an unbounded mean", { primary: { metric: "kl", margin: 1 } }, "primary.metric", /never judged/],
    [
      "a quantile of shares",
      { primary: { metric: "error", statistic: { quantile: 0.5 }, margin: 0.1 } },
      "primary.statistic",
      /its mean/,
    ],
    [
      "bounds the wrong way",
      { primary: { metric: "ttft", range: [9, 8], margin: 0.1 } },
      "primary.range",
      /above the first/,
    ],
    [
      "bounds for a rating",
      { primary: { metric: "rating", range: [1, 2], margin: 0.1 } },
      "primary.range",
      /of its own/,
    ],
    ["a metric judged twice", { guardrails: [valid.primary] }, "guardrails.0", /judged twice/],
    ["an end before the start", { start: "2026-05-01T00:00:00Z", end: "2026-04-01T00:00:00Z" }, "end", /after start/],
    [
      "agreement of a treatment without a variant",
      { arms: [valid.arms[0], { ...valid.arms[1], model: "auto" }] },
      "arms.1.model",
      /name one/,
    ],
    ["a shadow share above 1", { shadow_share: 2 }, "shadow_share", /1/],
    ["a share of nothing", { audience: { share: 0 } }, "audience.share", /above 0/],
    [
      "a policy for one variant",
      { arms: [valid.arms[0], { ...valid.arms[1], policy: { min_hellaswag: 1 } }] },
      "arms.1.policy",
      /auto/,
    ],
    [
      "an unknown field of a policy",
      { arms: [valid.arms[0], { ...valid.arms[1], model: "auto", policy: { min_hellaswag: 1, speed: 1 } }] },
      "arms.1.policy",
      /speed/,
    ],
  ])("refuses %s and names the field", (_, change, path, message) => {
    const issue = schema.safeParse({ ...valid, ...(change as object) }).error?.issues[0];
    expect(issue?.path.join(".")).toBe(path);
    expect(issue?.message).toMatch(message);
  });

  it("takes routing policies as arms", () => {
    const arms = [
      { name: "base", model: "auto", weight: 0.5, policy: { min_hellaswag: 35 } },
      { name: "other", model: "auto", weight: 0.5, policy: { min_hellaswag: 38 } },
    ];
    const guardrails = valid.guardrails.filter(({ metric }) => metric !== "agreement");
    expect(schema.parse({ ...valid, arms, guardrails }).arms[1]?.policy).toEqual({ min_hellaswag: 38 });
  });
});
