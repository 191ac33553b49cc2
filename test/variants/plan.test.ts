import { describe, expect, it } from "vitest";
import type { BaseModel, Tensor } from "../../src/variants/base.ts";
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

describe("a plan of narrower layers", () => {
  /** The tiny base with tensors of its second layer changed, or added. */
  const changed = (shapes: Record<string, [number, number]>): BaseModel => {
    const base = tinyBase(config);
    const tensor = (name: string, [rows, cols]: [number, number], old?: Tensor): Tensor => ({
      ...(old ?? (base.tensors[0] as Tensor)),
      name,
      rows,
      cols,
      bytes: rows * cols * 4,
    });
    const named = Object.entries(shapes).map(([name, shape]) => [`blk.1.${name}`, shape] as const);
    const kept = base.tensors.map((old) => {
      const shape = named.find(([name]) => name === old.name)?.[1];
      return shape ? tensor(old.name, shape, old) : old;
    });
    const added = named.filter(([name]) => !kept.some((old) => old.name === name));
    return { ...base, tensors: [...kept, ...added.map(([name, shape]) => tensor(name, shape))] };
  };
  const config = { ...tinyConfig, heads: 4, kvHeads: 2 };
  const halved = {
    "attn_q.weight": [64, 64],
    "attn_k.weight": [32, 64],
    "attn_v.weight": [32, 64],
    "attn_output.weight": [64, 64],
    "attn_output.bias": [1, 64],
    "ffn_gate.weight": [32, 64],
    "ffn_up.weight": [32, 64],
    "ffn_down.weight": [64, 32],
  } satisfies Record<string, [number, number]>;
  const stored = { sha256: "0".repeat(64), type: "q4_1", rows: 32, cols: 64 } as const;

  it("counts what each slot has", () => {
    const recipe = tinyRecipe([{ layer: 0 }, { layer: 1 }, { layer: 1, mlp: false }]);
    const { costs, slots } = compilePlan(recipe, changed(halved));
    expect(slots.map(({ attn, mlp }) => [attn?.bias?.name, mlp?.bias])).toEqual([
      [undefined, undefined],
      ["blk.1.attn_output.bias", undefined],
      ["blk.1.attn_output.bias", undefined],
    ]);
    expect(costs.kvValues).toBe(2 * 64 + 2 * 32 + 2 * 32);
    const attention = (heads: number, kvHeads: number) => (2 * heads + 2 * kvHeads) * 32 * 64;
    expect(costs.multiplyAdds).toBe(attention(4, 2) + 2 * attention(2, 1) + mlp + 3 * 32 * 64 + head);
  });

  it("counts as many bits as a method says", () => {
    const tensors = { "blk.1.ffn_gate.weight": { ...stored, bits: 2.5 } };
    const { costs } = compilePlan({ ...tinyRecipe(), tensors }, changed(halved));
    expect(costs.weightBytes - costs.nominalBytes).toBe(32 * 64 * 4 - (32 * 64 * 2.5) / 8);
  });

  it.each<[string, Record<string, [number, number]>, string]>([
    [
      "a KV group without its queries",
      { "attn_k.weight": [32, 64] },
      "blk.1.attn_q.weight as equal groups of at most 2 heads, but it has 4 for 1 KV heads",
    ],
    [
      "half a head",
      { "attn_q.weight": [48, 64] },
      "blk.1.attn_q.weight as [128, 64], or with fewer rows in multiples of 32, but it is [48, 64]",
    ],
    [
      "values for other keys",
      { ...halved, "attn_v.weight": [64, 64] },
      "blk.1.attn_v.weight as [32, 64], but it is [64, 64]",
    ],
    [
      "an output of other heads",
      { ...halved, "attn_output.weight": [64, 128] },
      "blk.1.attn_output.weight as [64, 64], but it is [64, 128]",
    ],
    [
      "gate and up of different widths",
      { "ffn_gate.weight": [64, 64] },
      "blk.1.ffn_up.weight as [64, 64], but it is [96, 64]",
    ],
    [
      "a down that is too wide",
      { ...halved, "ffn_down.weight": [64, 96] },
      "blk.1.ffn_down.weight as [64, 32], but it is [64, 96]",
    ],
    ["a bias of another size", { "ffn_down.bias": [1, 32] }, "blk.1.ffn_down.bias as [1, 64], but it is [1, 32]"],
  ])("is refused for %s", (_, shapes, problem) => {
    expect(() => compilePlan(tinyRecipe(), changed(shapes))).toThrow(`tiny: slot 1 needs ${problem} (in tiny)`);
  });

  it("is refused for the bias of a sublayer that no slot runs", () => {
    const recipe = {
      ...tinyRecipe([{ layer: 0 }, { layer: 1, attn: false }]),
      tensors: { "blk.1.attn_output.bias": stored },
    };
    expect(() => compilePlan(recipe, changed(halved))).toThrow(
      "tiny: blk.1.attn_output.bias is the bias of a sublayer that no slot runs",
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
