// What the engine cannot run, and what it says then: a user reads these messages.
import { describe, expect, it } from "vitest";
import plain from "../../../dist/kernels/plain.wasm";
import { EngineError } from "../../../src/engine/types.ts";
import { createWasmEngine, type WasmEngineOptions } from "../../../src/engine/wasm/index.ts";
import type { ModelConfig } from "../../../src/variants/base.ts";
import { LINEARS } from "../../../src/variants/layer-tensors.ts";
import type { Plan } from "../../../src/variants/plan.ts";
import { adaptedPlan, adaptedRecipe, randomPairs } from "./peft.ts";
import { config, makeTiny, narrowPlan, openFrom, tinyPlan } from "./tiny.ts";

const tiny = makeTiny();
const whole = tinyPlan(tiny.base);
const load = (options: Partial<WasmEngineOptions> = {}) =>
  createWasmEngine({ base: tiny.base, open: tiny.open, modules: { plain }, ...options });

describe("a base is refused when it is loaded", () => {
  it.each<[string, Partial<ModelConfig>]>([
    ["hidden size and FFN width in multiples of 32, not 96 and 72", { ffn: 72 }],
    ["hidden size and FFN width in multiples of 32, not 80 and 160", { hidden: 80 }],
    ["a head dimension that is a multiple of 8 up to 256, not 20", { headDim: 20 }],
    ["a head dimension that is a multiple of 8 up to 256, not 264", { headDim: 264 }],
    ["query heads in equal groups, not 8 over 3 KV heads", { kvHeads: 3 }],
    ["query heads that fill blocks of 32, not 3 of 8", { heads: 3, kvHeads: 1, headDim: 8 }],
  ])("that lacks %s", async (what, change) => {
    const base = { ...tiny.base, config: { ...config, ...change } };
    await expect(load({ base })).rejects.toThrow(new EngineError("bad_plan", `the wasm engine needs ${what}`));
  });

  it("whose weights are beyond the ceiling, with both numbers", async () => {
    const loading = load({ ceilingBytes: 2 ** 16 });
    await expect(loading).rejects.toMatchObject({ code: "too_large" });
    await expect(loading).rejects.toThrow(
      /^weights and scratch need \d\.\d MiB, the engine may hold 0\.1 MiB: set MEMORY_CEILING_MIB higher, .* keep more linears at 4 bits$/,
    );
  });
});

describe("a plan is refused when it is first opened", () => {
  type Part = "attn" | "mlp";
  /** The plan with one tensor of its second slot of other rows or columns. */
  function reshaped<P extends Part>(part: P, name: string, shape: { rows?: number; cols?: number }): Plan {
    const slots = whole.slots.map((slot, index) => {
      const own = slot[part] as unknown as Record<string, object>;
      return index === 1 ? { ...slot, [part]: { ...own, [name]: { ...own[name], ...shape } } } : slot;
    });
    return { ...whole, slots };
  }
  it.each([
    ["240 query rows, of heads of 32, at most 256", reshaped("attn", "q", { rows: 240 })],
    ["288 query rows, of heads of 32, at most 256", reshaped("attn", "q", { rows: 288 })],
    ["96 key rows, of heads of 32, at most 64", reshaped("attn", "k", { rows: 96 })],
    ["32 value rows for 64 key rows", reshaped("attn", "v", { rows: 32 })],
    ["224 query rows for 64 key rows, in groups of at most 4 heads", reshaped("attn", "q", { rows: 224 })],
    ["224 output columns for 256 query rows", reshaped("attn", "o", { cols: 224 })],
    ["attention that is not of hidden size 96", reshaped("attn", "o", { rows: 64 })],
    ["an FFN width of 72, which must be a multiple of 32 and at most 160", reshaped("mlp", "gate", { rows: 72 })],
    ["an FFN width of 192, which must be a multiple of 32 and at most 160", reshaped("mlp", "gate", { rows: 192 })],
    ["an FFN of 160, 128 and 160", reshaped("mlp", "up", { rows: 128 })],
    ["an MLP that is not of hidden size 96", reshaped("mlp", "down", { rows: 64 })],
  ])("whose slot has %s", async (what, plan) => {
    const engine = await load();
    await expect(engine.open(plan, 8)).rejects.toThrow(new EngineError("bad_plan", `tiny: slot 1 has ${what}`));
  });

  it("but not for being narrower than its base", async () => {
    (await (await load()).open(narrowPlan(tiny.base), 8)).close();
  });

  it("whose adapter changes a linear that it lacks", async () => {
    const recipe = adaptedRecipe("layers", [{ layer: 0 }, { layer: 1 }]);
    const pairs = randomPairs(config, [1], ["up"], 4, 1);
    const { adapter } = adaptedPlan({ base: tiny.base, pairs, scale: 1, recipe, files: new Map() });
    const plan = { ...tinyPlan(tiny.base, [{ layer: 0 }, { layer: 1, mlp: false }]), adapter };
    await expect((await load()).open(plan, 8)).rejects.toThrow(
      new EngineError("bad_plan", "tiny: its adapter changes up of slot 1, which the plan lacks"),
    );
  });

  it("that is over another base", async () => {
    const other = makeTiny({ seed: 2 });
    await expect((await load()).open(tinyPlan(other.base), 8)).rejects.toThrow(/^tiny: it is over base [0-9a-f]{64}/);
  });
});

describe("a plan that memory has no room for", () => {
  const MIB = 2 ** 20;

  it("is refused with what it needs and what there is", async () => {
    const plan = tinyPlan(
      tiny.base,
      Array.from({ length: 1024 }, (_, i) => ({ layer: i % 3 })),
    );
    const engine = await load({ ceilingBytes: 2 * MIB });
    expect(engine.capacityOf(plan)).toBe(0);
    await expect(engine.open(plan, 1)).rejects.toThrow(
      /^here tiny holds no token: its adapter and the KV caches of 32 tokens need 4\.3 MiB, and beside the weights there are 1\.\d MiB$/,
    );
  });

  it("may be filled to the capacity that the engine names, with an adapter too", async () => {
    const files = new Map<string, Uint8Array>();
    const pairs = randomPairs(config, [0, 1, 2], LINEARS, 64, 1);
    const recipe = adaptedRecipe("layers", [{ layer: 0 }, { layer: 1 }, { layer: 2 }]);
    const plan = adaptedPlan({ base: tiny.base, pairs, scale: 1, recipe, files });
    const bare = tinyPlan(tiny.base);
    const open = async (file: { file: string; sha256: string; bytes: number }) =>
      (await openFrom(files)(file)) ?? tiny.open(file);
    const weights = (await load()).residentBytes();
    const { imageBytes } = plan.adapter!;
    const engine = await load({ open, ceilingBytes: weights + imageBytes + 65_536 });
    const capacity = engine.capacityOf(plan);
    expect(capacity).toBeGreaterThan(0);
    expect(capacity).toBeLessThan(engine.capacityOf(bare));
    await expect(engine.open(plan, capacity + 1)).rejects.toThrow(
      new EngineError(
        "context_overflow",
        `here adapted holds at most ${capacity} tokens, prompt and reply together, not ${capacity + 1}`,
      ),
    );
    const sequence = await engine.open(plan, capacity);
    for (let at = 0; at < capacity; at += 32) {
      await engine.step([{ sequence, tokens: new Array(32).fill(5), logits: "none" }], () => undefined);
    }
    expect(sequence.length).toBe(capacity);
    sequence.close();

    const small = await load({ open, ceilingBytes: weights + imageBytes / 2 });
    expect(small.capacityOf(bare)).toBeGreaterThan(0);
    expect(small.capacityOf(plan)).toBe(0);
    await expect(small.open(plan, 1)).rejects.toThrow("here adapted holds no token: its adapter and");
  });
});
