import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createExperimentSchema } from "../../../src/experiments/index.ts";
import { type AnswerOffer, shadowJobOf } from "../../../src/experiments/shadow/index.ts";

const spec = createExperimentSchema(z.strictObject({})).parse({
  id: "drop-ten",
  arms: [
    { name: "base", model: "smollm2-135m", weight: 0.5 },
    { name: "drop", model: "smollm2-135m-attn-drop-10", weight: 0.5 },
    { name: "stopped", model: "smollm2-135m-attn-drop-15", weight: 0 },
  ],
  control: "base",
  primary: { metric: "agreement", margin: 0.3 },
  shadow_share: 1,
  window_seconds: 10,
  settle_seconds: 5,
});
const offer: AnswerOffer = {
  spec,
  epoch: 2,
  unit: "u1",
  arm: "base",
  request: "r1",
  reference: "smollm2-135m",
  scope: "k1",
  promptIds: [1, 2],
  replyIds: [3],
  begunAt: 1000,
};

describe("an answer that is offered", () => {
  it("of the control becomes a job for the treatments that run, kept no longer than its outcome may count", () => {
    const { spec: _, ...rest } = offer;
    expect(shadowJobOf(offer)).toEqual({
      ...rest,
      experiment: "drop-ten",
      treatments: [{ arm: "drop", variant: "smollm2-135m-attn-drop-10" }],
      until: 16_000,
    });
    expect(shadowJobOf({ ...offer, spec: { ...spec, window_seconds: 86_400 } })?.until).toBe(3_601_000);
  });

  it.each<[string, Partial<AnswerOffer>]>([
    ["of a treatment", { arm: "drop" }],
    ["that is empty", { replyIds: [] }],
    ["outside of the sample", { spec: { ...spec, shadow_share: 1e-9 } }],
    ["where agreement is not judged", { spec: { ...spec, primary: { ...spec.primary, metric: "rating" } } }],
    ["without a treatment that runs", { spec: { ...spec, arms: spec.arms.filter(({ name }) => name !== "drop") } }],
  ])("%s is not scored", (_, change) => {
    expect(shadowJobOf({ ...offer, ...change })).toBeUndefined();
  });
});
