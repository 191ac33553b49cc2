import { describe, expect, it } from "vitest";
import catalogueJson from "../../dist/catalogue.json";
import { compileCatalogue } from "../../src/variants/catalogue.ts";
import { catalogueFileSchema } from "../../src/variants/catalogue-file.ts";
import { recipeSchema } from "../../src/variants/recipe.ts";
import franken from "../fixtures/franken-llama.json";
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

  it("have the 25 Franken configurations as their source runs them, carried to 30 layers", () => {
    const ids = franken.configurations.map(({ id }) => id);
    expect([...catalogue.keys()].filter((id) => id.includes("-franken-")).toSorted()).toEqual(ids.toSorted());
    for (const { id, layers_of_30 } of franken.configurations) {
      expect([id, slotsOf(id)]).toEqual([id, layers_of_30.map((layer) => ({ layer, attn: true, mlp: true }))]);
    }
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

it("a recipe called auto is refused, because auto is the model that chooses", () => {
  const [first] = catalogueFileSchema.parse(catalogueJson).recipes;
  const { success, error } = recipeSchema.safeParse({ ...first, id: "auto" });
  expect(success).toBe(false);
  expect(JSON.stringify(error?.issues)).toContain("auto is the model that chooses among the variants");
});
