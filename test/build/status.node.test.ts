import { describe, expect, it } from "vitest";
import type { RecordedScore } from "../../evaluation/index.ts";
import { statuses } from "../../scripts/status.ts";
import type { Catalogue } from "../../src/variants/catalogue.ts";
import { variantDigest } from "../../src/variants/digest.ts";
import { compilePlan } from "../../src/variants/plan.ts";
import { tinyBase, tinyRecipe } from "../support/base.ts";

/** Variants of one base by the layers that they run, the base first. */
const catalogueOf = (variants: Record<string, readonly number[]>): Catalogue =>
  new Map(
    Object.entries(variants).map(([id, layers]) => {
      const recipe = tinyRecipe(
        layers.map((layer) => ({ layer })),
        id,
      );
      return [id, { recipe, plan: compilePlan(recipe, tinyBase()) }];
    }),
  );

/** A record of ten items on which a variant is right in `right`, or of two pages of that perplexity. */
function record(catalogue: Catalogue, id: string, task: "hellaswag" | "wikitext", value: number): RecordedScore {
  const results =
    task === "hellaswag"
      ? Array.from({ length: 10 }, (_, i) => ({ acc: 0, acc_norm: Number(i < value) }))
      : [10, 30].map((words) => ({ logLikelihood: -words * Math.log(value), words, bytes: 5 * words, tokens: words }));
  return {
    variant: id,
    task,
    command: "",
    recorded: "2026-01-01T00:00:00Z",
    taskVersion: 1,
    seconds: 1,
    metrics: {},
    digests: { variant: variantDigest(catalogue.get(id)!.plan), engine: "e", data: "d" },
    count: results.length,
    results: new Map(results.map((result, item) => [item, result])),
  };
}

describe("the status of a variant", () => {
  const catalogue = catalogueOf({ base: [0, 1, 2], two: [0, 1], other: [0, 2], one: [0] });
  const scored = (
    scores: Record<string, readonly [perplexity: number | undefined, right?: number]>,
  ): Record<string, string> => {
    const recorded = Object.entries({ base: [20, 5] as const, ...scores }).flatMap(([id, [perplexity, right]]) => [
      ...(perplexity === undefined ? [] : [record(catalogue, id, "wikitext", perplexity)]),
      ...(right === undefined ? [] : [record(catalogue, id, "hellaswag", right)]),
    ]);
    return Object.fromEntries(statuses(catalogue, recorded));
  };

  it("is research without a perplexity, whatever HellaSwag says, and beyond four times the base's", () => {
    expect(scored({ two: [undefined, 9], other: [80.1, 5] })).toMatchObject({
      base: "stable",
      two: "research",
      other: "research",
      one: "research",
    });
  });

  it("is stable up to one and a half times the base's perplexity, and experimental up to four times", () => {
    expect(scored({ two: [29.9, 3], other: [30.1, 4], one: [79.9, 3] })).toMatchObject({
      two: "stable",
      other: "experimental",
      one: "experimental",
    });
  });

  it("is not stable while HellaSwag is not measured, or another variant is as good, as fast, and faster", () => {
    expect(scored({ two: [25] })).toMatchObject({ two: "experimental" });
    expect(scored({ two: [25, 4], one: [25, 4] })).toMatchObject({ two: "experimental", one: "stable" });
    expect(scored({ two: [25, 4], one: [25, 3] })).toMatchObject({ two: "stable", one: "stable" });
    expect(scored({ two: [25, 4], other: [25, 4] })).toMatchObject({ two: "stable", other: "stable" });
  });

  it("heeds only records of what the variant computes, under whatever name", () => {
    const same = catalogueOf({ base: [0, 1, 2], renamed: [0, 1] });
    const records = [
      record(catalogue, "base", "wikitext", 20),
      record(catalogue, "two", "wikitext", 25),
      { ...record(catalogue, "one", "wikitext", 20), variant: "base" },
    ];
    expect(Object.fromEntries(statuses(same, records))).toEqual({ base: "experimental", renamed: "experimental" });
  });
});
