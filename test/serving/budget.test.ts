import { expect, it } from "vitest";
import { NO_BUDGET } from "../../src/routing/index.ts";
import { statedBudget, withPolicy } from "../../src/serving/budget.ts";

const names = { latency_ms: "a", ttft_ms: "b", tpot_ms: "c", min_hellaswag: "d", max_perplexity: "e" };
const nothing = Object.fromEntries(Object.keys(NO_BUDGET).map((field) => [field, undefined])) as Record<
  keyof typeof NO_BUDGET,
  undefined
>;
const policy = { prefer: "cost", quantile: 0.9, allowResearch: true } as const;

it("a budget of which nothing is stated is none, and an arm's policy decides", () => {
  const stated = statedBudget(nothing, names);
  expect(stated.budget).toEqual(NO_BUDGET);
  expect(withPolicy(stated, undefined)).toEqual(NO_BUDGET);
  expect(withPolicy(stated, policy)).toEqual({ ...NO_BUDGET, ...policy });
});

it("what is stated stands, null as well: an arm's policy adds only what is not", () => {
  const stated = statedBudget({ ...nothing, prefer: "speed", quantile: null, latencyMs: 100 }, names);
  expect(stated.unstated).toEqual(["allowResearch"]);
  expect(withPolicy(stated, policy)).toEqual({
    ...NO_BUDGET,
    prefer: "speed",
    latencyMs: 100,
    allowResearch: true,
  });
  expect(withPolicy(stated, { allowResearch: null })).toEqual(stated.budget);
});
