import { describe, expect, it } from "vitest";
import catalogueJson from "../../dist/catalogue.json";
import { compileCatalogue } from "../../src/variants/catalogue.ts";
import { catalogueFileSchema } from "../../src/variants/catalogue-file.ts";
import { recipeSchema } from "../../src/variants/recipe.ts";
import vectors from "../fixtures/reference/logit-vectors.json";

const catalogue = compileCatalogue(catalogueFileSchema.parse(catalogueJson));
const slotsOf = (id: string) => {
  const recipe = catalogue.get(id)?.recipe;
  if (!recipe || !("slots" in recipe)) throw new Error(`${id} is not in the catalogue`);
  return recipe.slots;
};
const layers = (id: string) => slotsOf(id).map((slot) => slot.layer);

describe("the shipped recipes", () => {
  it("are the unpruned model, ten drops and skips and the 25 Franken configurations", () => {
    const ids = [...catalogue.keys()];
    expect(ids[0]).toBe("smollm2-135m");
    expect(ids.filter((id) => id.includes("-franken-"))).toHaveLength(25);
    expect(ids).toHaveLength(36);
  });

  it.each(Object.entries(vectors))("%s has the slots that the reference vectors were made with", (name, { slots }) => {
    expect(slotsOf(name === "baseline" ? "smollm2-135m" : `smollm2-135m-${name}`)).toEqual(slots);
  });

  it("nest: a larger drop holds every smaller one", () => {
    const dropped = (id: string, part: "attn" | "mlp") =>
      slotsOf(id).flatMap((slot) => (slot[part] ? [] : [slot.layer]));
    expect(dropped("smollm2-135m-attn-drop-5", "attn")).toEqual([6, 7, 25, 26, 28]);
    expect(dropped("smollm2-135m-attn-drop-15", "attn")).toEqual([
      3, 5, 6, 7, 8, 9, 10, 12, 14, 22, 25, 26, 27, 28, 29,
    ]);
    expect(dropped("smollm2-135m-mlp-drop-4", "mlp")).toEqual([13, 14, 16, 17]);
    expect(dropped("smollm2-135m-last-attn-skip-4", "attn")).toEqual([25, 26, 27, 28]);
    expect(layers("smollm2-135m-block-drop-6")).not.toEqual(expect.arrayContaining([14]));
    expect(layers("smollm2-135m-block-drop-6")).toHaveLength(24);
  });

  it("carry Franken layers from 32 to 30 and merge neighbours that meet", () => {
    expect(layers("smollm2-135m-franken-15r3-23r3-31r3")).toEqual([14, 14, 14, 22, 22, 22, 29, 29, 29]);
    expect(layers("smollm2-135m-franken-0-7r2-15r2-23r2-31r2")).toEqual([0, 0, 7, 7, 14, 14, 22, 22, 29, 29]);
    expect(layers("smollm2-135m-franken-baseline")).toEqual(layers("smollm2-135m"));
  });
});

describe("recipeSchema", () => {
  const recipe = { id: "x", base: "b", title: "t", origin: { source: "s", section: "t" }, status: "stable" };
  it.each([
    ["a slot that does nothing", { slots: [{ layer: 0, attn: false, mlp: false }] }],
    ["no slots", { slots: [] }],
    ["a negative layer", { slots: [{ layer: -1 }] }],
    ["an unknown field", { slots: [{ layer: 0 }], extra: 1 }],
    ["an id that is not one", { id: "../x", slots: [{ layer: 0 }] }],
    ["slots and onnx at once", { slots: [{ layer: 0 }], onnx: { file: "a.onnx", contextLength: 1 } }],
  ])("refuses %s", (_name, change) => {
    expect(recipeSchema.safeParse({ ...recipe, ...change }).success).toBe(false);
  });
});
