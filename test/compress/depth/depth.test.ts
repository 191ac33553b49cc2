// From rankings and expressions to recipes. Pure code.
import { describe, expect, it } from "vitest";
import { parseExpression } from "../../../compress/depth/expression.ts";
import { laterUnits, select, slotsWithout } from "../../../compress/depth/select.ts";
import type { Ranking } from "../../../compress/importance/criterion.ts";
import { slotsKey } from "../../../compress/importance/removal.ts";
import type { Part } from "../../../compress/importance/units.ts";
import type { ModelShape } from "../../../formats/checkpoint.ts";
import { slotRecipeSchema } from "../../../src/variants/recipe.ts";
import drop10 from "../../../src/variants/recipes/smollm2-135m-attn-drop-10.json" with { type: "json" };
import expansion from "../../../src/variants/recipes/smollm2-135m-franken-mid-expansion-with-repeats.json" with {
  type: "json",
};
import skip2 from "../../../src/variants/recipes/smollm2-135m-last-attn-skip-2.json" with { type: "json" };

const shape: ModelShape = {
  hidden: 8,
  headDim: 4,
  vocab: 8,
  contextLength: 8,
  ropeTheta: 1e4,
  ropeScaling: undefined,
  rmsEps: 1e-5,
  layers: Array.from({ length: 30 }, () => ({ heads: 2, kvHeads: 1, ffn: 8 })),
};
const keyOf = (recipe: unknown): string => slotsKey(slotRecipeSchema.parse(recipe).slots);
const ranking = (part: Part, layers: readonly number[]): Ranking => ({
  values: [],
  order: layers.map((layer) => ({ layer, part })),
});

describe("a franken expression", () => {
  it("is what a shipped configuration runs", () => {
    const slots = parseExpression("0-5, 9-12, 13-17x2, 18-22, 27-29", 30);
    expect(slotsKey(slots)).toBe(keyOf(expansion));
  });

  it.each([
    ["3", "3am"],
    ["0-2x2", "0am 0am 1am 1am 2am 2am"],
    ["(0-2)x2", "0am 1am 2am 0am 1am 2am"],
    ["((0,1x2)x2, 5)x2", "0am 1am 1am 0am 1am 1am 5am 0am 1am 1am 0am 1am 1am 5am"],
    [" 7 a , 7 m x 2 ", "7a 7m 7m"],
    ["5,3,1", "5am 3am 1am"],
  ])("%s runs %s", (text, slots) => {
    expect(slotsKey(parseExpression(text, 30))).toBe(slots);
  });

  it.each([
    ["", /at 1: a layer's number, or \(, should come here/],
    ["0-5,", /at 5: a layer's number/],
    ["0-30", /at 1: there is no layer 30: the model has 0 to 29/],
    ["0,5-2", /at 3: 5-2 goes down; write the layers one by one/],
    ["0-5y2", /at 4: "y" should not be here/],
    ["0-5x0", /at 4: x0 runs nothing/],
    ["(0-5", /at 5: a \) should come here/],
    ["0-29x999999999", /at 5: more than 1024 layers in all/],
    ["0-5x2x2", /at 6: "x" should not be here/],
  ])("%s is refused", (text, message) => {
    expect(() => parseExpression(text, 30)).toThrow(message);
  });
});

describe("selection", () => {
  it("drops the first of an order, as a shipped recipe does", () => {
    const units = select(ranking("attention", [26, 25, 7, 28, 6, 5, 9, 29, 12, 8, 14]), "attention", 10);
    expect(slotsKey(slotsWithout(shape, units))).toBe(keyOf(drop10));
  });

  it("drops a run of layers where a criterion looks at runs", () => {
    const runs = Array.from({ length: 30 }, (_, i) => ({ layers: i + 1, first: i < 20 ? 9 : 0, value: 0 }));
    const units = select({ ...ranking("block", [1]), runs }, "block", 3);
    expect(units.map(({ layer }) => layer)).toEqual([9, 10, 11]);
    expect(() => select({ ...ranking("block", [1]), runs }, "block", 30)).toThrow(/can remove 1 to 29 layers/);
  });

  it("skips the attention of later layers, as a shipped recipe does", () => {
    expect(slotsKey(slotsWithout(shape, laterUnits(shape, "attention", 2, 1)))).toBe(keyOf(skip2));
    expect(() => laterUnits(shape, "mlp", 30, 1)).toThrow(/more than the model's 30 layers/);
  });

  it("refuses more than there is, and to leave nothing", () => {
    expect(() => select(ranking("mlp", [3, 4]), "mlp", 3)).toThrow(
      /--remove 3: this criterion can remove 1 to 2 MLP sublayers/,
    );
    const blocks = shape.layers.map((_, layer) => ({ layer, part: "block" as const }));
    expect(() => slotsWithout(shape, blocks)).toThrow(/nothing would be left/);
  });
});
