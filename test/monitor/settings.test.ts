import { expect, it } from "vitest";
import { monitorSettings } from "../../src/config.ts";

it("reads the variables, and has a default for each", () => {
  expect(monitorSettings({})).toEqual({ itemsPerSlice: 5, itemsPerRun: 200, nullRate: 0.001 });
  const env = { SCORES_ITEMS_PER_SLICE: "0", SCORES_ITEMS_PER_RUN: "1000", SCORES_NULL_RATE: "0.01" };
  expect(monitorSettings(env)).toEqual({ itemsPerSlice: 0, itemsPerRun: 1000, nullRate: 0.01 });
});

it.each([
  ["SCORES_ITEMS_PER_SLICE", "-1"],
  ["SCORES_ITEMS_PER_SLICE", "many"],
  ["SCORES_ITEMS_PER_RUN", "0"],
  ["SCORES_ITEMS_PER_RUN", "1.5"],
  ["SCORES_NULL_RATE", "0"],
  ["SCORES_NULL_RATE", "0.6"],
])("names %s when it is %s", (name, value) => {
  expect(() => monitorSettings({ [name]: value })).toThrow(`${name} is ${value}; it must be`);
});
