import { describe, expect, it } from "vitest";
import { compileCatalogue } from "../../src/variants/catalogue.ts";
import { compilePlan, PlanError, sharedKv } from "../../src/variants/plan.ts";
import { tinyBase, tinyConfig, tinyRecipe } from "../support/base.ts";

const attention = (2 * 32 + 2 * 32 + 64) * 64;
const mlp = 3 * 96 * 64;
const head = 128 * 64;

describe("compilePlan", () => {
  it("counts multiply-adds, weight bytes and KV of the slots that are there", () => {
    const plan = compilePlan(
      tinyRecipe([{ layer: 0 }, { layer: 1, attn: false }, { layer: 2, mlp: false }]),
      tinyBase(),
    );
    expect(plan.costs.multiplyAdds).toBe(2 * attention + 2 * mlp + head);
    expect(plan.costs.weightBytes).toBe(4 * (2 * attention + 2 * mlp + head + 4 * 64 + 64));
    expect(plan.kvSlots).toBe(2);
    expect(plan.costs.kvValues).toBe(2 * 2 * 32);
    expect(plan.costs.kvBytes).toBe(2 * 2 * 32 * 2);
  });

  it("finds for each KV cache of a plan the one that it goes on with", () => {
    const base = tinyBase();
    const compile = (slots: Parameters<typeof tinyRecipe>[0]) => compilePlan(tinyRecipe(slots), base);
    const whole = compile([{ layer: 0 }, { layer: 1 }, { layer: 2 }]);
    expect(sharedKv(whole, compile([{ layer: 0 }, { layer: 1, attn: false }, { layer: 2, mlp: false }]))).toEqual([
      0, 2,
    ]);
    expect(
      sharedKv(compile([{ layer: 1 }, { layer: 0 }, { layer: 1 }]), compile([{ layer: 1 }, { layer: 1 }])),
    ).toEqual([0, 2]);
    expect(sharedKv(whole, compile([{ layer: 0 }, { layer: 0 }]))).toBeUndefined();
    expect(sharedKv(whole, compile([{ layer: 2 }, { layer: 0 }]))).toBeUndefined();
    expect(sharedKv(whole, { ...whole, base: { ...base, digest: "other" } })).toBeUndefined();
  });

  it("gives each repeat of a layer its own KV cache and the same tensors", () => {
    const plan = compilePlan(
      tinyRecipe([{ layer: 1 }, { layer: 1 }, { layer: 1, attn: false }, { layer: 1 }]),
      tinyBase(),
    );
    expect(plan.slots.map((slot) => slot.attn?.kv)).toEqual([0, 1, undefined, 2]);
    expect(plan.slots[0]?.attn?.q).toBe(plan.slots[3]?.attn?.q);
  });

  it("gives the same fingerprint to plans that compute the same, and only to them", () => {
    const fingerprint = (slots: object[], id?: string) => compilePlan(tinyRecipe(slots, id), tinyBase()).fingerprint;
    expect(fingerprint([{ layer: 0 }], "a")).toBe(fingerprint([{ layer: 0, attn: true }], "b"));
    expect(fingerprint([{ layer: 0 }])).not.toBe(fingerprint([{ layer: 0, attn: false }]));
    expect(fingerprint([{ layer: 0 }])).not.toBe(fingerprint([{ layer: 0 }, { layer: 0 }]));
  });

  it("refuses a layer that the base does not have, naming slot and layer", () => {
    expect(() => compilePlan(tinyRecipe([{ layer: 0 }, { layer: 3 }]), tinyBase())).toThrow(
      new PlanError("tiny: slot 1 names layer 3, but tiny has layers 0 to 2"),
    );
  });

  it("refuses a missing tensor and one of another shape, naming it", () => {
    const base = tinyBase();
    const without = { ...base, tensors: base.tensors.filter((tensor) => tensor.name !== "blk.1.ffn_up.weight") };
    expect(() => compilePlan(tinyRecipe(), without)).toThrow(/slot 1 needs blk\.1\.ffn_up\.weight which is not there/);
    const wide = tinyBase({ ...tinyConfig, ffn: 128 });
    expect(() => compilePlan(tinyRecipe(), { ...wide, config: tinyConfig })).toThrow(
      "slot 0 needs blk.0.ffn_gate.weight as [96, 64], or with fewer rows in multiples of 32, but it is [128, 64]",
    );
  });
});

describe("compileCatalogue", () => {
  const file = { bases: [tinyBase()], recipes: [tinyRecipe()], onnx: {} };

  it("refuses two recipes with one id and an unknown base", () => {
    expect(() => compileCatalogue({ ...file, recipes: [tinyRecipe(), tinyRecipe()] })).toThrow(
      /two recipes have this id/,
    );
    expect(() => compileCatalogue({ ...file, recipes: [{ ...tinyRecipe(), base: "other" }] })).toThrow(
      /base other is not among tiny/,
    );
  });
});
