import { describe, expect, it } from "vitest";
import { packAdapter } from "../../../build/adapter.ts";
import { readKernels } from "../../../evaluation/offline/wasm.ts";
import { createWasmEngine, type WasmEngine } from "../../../src/engine/wasm/index.ts";
import type { Adapter } from "../../../src/variants/adapter.ts";
import { LINEARS, type Linear } from "../../../src/variants/layer-tensors.ts";
import { compilePlan, type Plan } from "../../../src/variants/plan.ts";
import type { SlotRecipe } from "../../../src/variants/recipe.ts";
import {
  type Dtype,
  adaptedPlan as makeAdaptedPlan,
  type Pair,
  pairName,
  randomPairs as pairsOf,
  adaptedRecipe as recipeOf,
  safetensors,
} from "./peft.ts";
import { asKernels, reference, rounding } from "./reference.ts";
import { config, MIXED, makeTiny, narrowBase, openFrom } from "./tiny.ts";

const noPace = () => undefined;
// Every linear has 8 bits in one of the layers and 4 in another.
const tiny = makeTiny({ eight: MIXED });
const tokens = Array.from({ length: 30 }, (_, i) => (i * 71 + 5) % config.vocab);

const files = new Map<string, Uint8Array>();
const adaptedPlan = (pairs: readonly Pair[], scale: number, recipe = recipeOf(), dtype: Dtype = "F32"): Plan =>
  makeAdaptedPlan({ base: tiny.base, pairs, scale, recipe, dtype, files });
const randomPairs = (layers: readonly number[], linears: readonly Linear[], rank: number, seed: number): Pair[] =>
  pairsOf(config, layers, linears, rank, seed);

const load = async (ceilingBytes = 64 * 2 ** 20): Promise<WasmEngine> => {
  const openAdapter = openFrom(files);
  const open = async (file: { file: string; sha256: string; bytes: number }) =>
    (await openAdapter(file)) ?? tiny.open(file);
  return createWasmEngine({ base: tiny.base, open, modules: await readKernels(), ceilingBytes });
};

async function logitsOf(engine: WasmEngine, plan: Plan): Promise<Float32Array> {
  const sequence = await engine.open(plan, tokens.length);
  const [logits = new Float32Array(0)] = await engine.step([{ sequence, tokens, logits: "all" }], noPace);
  sequence.close();
  return logits.slice();
}

/** The plain computation: y += scale * B (A x), for slots whose layer the pair's name has. */
function plain(plan: Plan, pairs: readonly Pair[], scale: number, rounded: boolean): Float32Array {
  const round = rounded ? rounding(127, 32) : (values: Float64Array<ArrayBuffer>) => values;
  const rounds = (values: Float32Array, width: number) => {
    const rows = Array.from({ length: values.length / width }, (_, row) =>
      round(Float64Array.from(values.subarray(row * width, (row + 1) * width))),
    );
    return rows;
  };
  const prepared = new Map(
    pairs.map((pair) => [pair.name, { ...pair, a: rounds(pair.a, pair.cols), b: rounds(pair.b, pair.rank) }]),
  );
  const rows = reference(plan, tiny.image, tokens, {
    ...(rounded ? asKernels : {}),
    adapt: (slot, linear, x, y) => {
      const pair = prepared.get(pairName(plan.slots[slot]?.layer as number, linear));
      if (!pair) return;
      const low = pair.a.map((row) => row.reduce((sum, value, i) => sum + value * (x[i] as number), 0));
      for (const [i, row] of pair.b.entries()) {
        y[i] = (y[i] as number) + scale * row.reduce((sum, value, j) => sum + value * (low[j] as number), 0);
      }
    },
  });
  return Float32Array.from(rows.flatMap((row) => [...row]));
}

const rms = (a: Float32Array, b?: Float32Array): number =>
  Math.sqrt(a.reduce((sum, value, i) => sum + (value - (b?.[i] ?? 0)) ** 2, 0) / a.length);

describe("an adapter", () => {
  it.each(LINEARS.map((linear) => [linear] as const))("on %s adds scale * B A x", async (linear) => {
    const pairs = randomPairs([0, 2], [linear], 16, 3);
    const plan = adaptedPlan(pairs, 2);
    const engine = await load();
    const logits = await logitsOf(engine, plan);
    const exact = plain(plan, pairs, 2, false);
    const noise = rms(plain(plan, pairs, 2, true), exact);
    const { adapter: _, ...bare } = plan;
    const without = await logitsOf(engine, { ...bare, adapter: undefined });
    // It matters, and it is right as far as 8-bit rounding allows.
    expect(rms(without, exact)).toBeGreaterThan(4 * noise);
    expect(rms(logits, exact)).toBeLessThan(1.25 * noise);
  });

  it.each([1, 33, 64])("may have rank %i", async (rank) => {
    const pairs = randomPairs([0, 1, 2], LINEARS, rank, rank);
    const plan = adaptedPlan(pairs, 0.5);
    const exact = plain(plan, pairs, 0.5, false);
    expect(rms(await logitsOf(await load(), plan), exact)).toBeLessThan(
      1.25 * rms(plain(plan, pairs, 0.5, true), exact),
    );
  });

  it("fits linears that are narrower than the base's, beside biases", async () => {
    const base = narrowBase(tiny.base);
    const narrow = { ...config, heads: 4, kvHeads: 1, ffn: 64 };
    const pairs = [...pairsOf(narrow, [0], LINEARS, 16, 9), ...randomPairs([2], ["o", "up"], 8, 10)];
    const plan = makeAdaptedPlan({ base, pairs, scale: 1, files });
    expect(plan.slots[0]?.attn?.bias).toBeDefined();
    const exact = plain(plan, pairs, 1, false);
    const logits = await logitsOf(await load(), plan);
    expect(rms(logits, exact)).toBeLessThan(1.25 * rms(plain(plan, pairs, 1, true), exact));
    expect(() => makeAdaptedPlan({ base, pairs: randomPairs([0], ["down"], 8, 1), scale: 1, files })).toThrow(
      "layer 0 down_proj: lora_A is [8,160], it must be [8, 64]",
    );
  });

  it("may be stored as BF16", async () => {
    const pairs = randomPairs([0], ["q", "down"], 8, 5);
    const cut = (values: Float32Array) =>
      new Float32Array(Uint32Array.from(new Uint32Array(values.slice().buffer), (b) => (b & 0xffff0000) >>> 0).buffer);
    const asStored = pairs.map((pair) => ({ ...pair, a: cut(pair.a), b: cut(pair.b) }));
    const engine = await load();
    const half = await logitsOf(engine, adaptedPlan(pairs, 1, recipeOf(), "BF16"));
    expect([...half]).toEqual([...(await logitsOf(engine, adaptedPlan(asStored, 1)))]);
  });

  it("changes single slots where its numbers count slots", async () => {
    const engine = await load();
    const pairs = randomPairs([2], ["gate"], 4, 6);
    const plan = adaptedPlan(pairs, 1, recipeOf("slots"));
    expect(plan.adapter?.linears.map(({ slot, linear }) => `${slot} ${linear}`)).toEqual(["2 gate"]);
    const everywhere = adaptedPlan(pairs, 1, recipeOf("layers"));
    expect(everywhere.adapter?.linears.map(({ slot, linear }) => `${slot} ${linear}`)).toEqual(["1 gate"]);
    expect(rms(await logitsOf(engine, plan), await logitsOf(engine, everywhere))).toBeGreaterThan(0);
  });

  it("leaves the other entries of a batch as they are alone", async () => {
    const engine = await load();
    const bare = compilePlan({ ...recipeOf(), adapter: undefined } as SlotRecipe, tiny.base);
    const plans = [
      bare,
      adaptedPlan(randomPairs([0, 2], LINEARS, 16, 7), 1),
      adaptedPlan(randomPairs([0], ["q", "up"], 40, 8), 0.5),
      bare,
    ];
    const alone = [];
    for (const plan of plans) alone.push([...(await logitsOf(engine, plan))]);
    const sequences = await Promise.all(plans.map((plan) => engine.open(plan, 64)));
    const outputs = await engine.step(
      sequences.map((sequence, i) => ({ sequence, tokens: tokens.slice(0, 5 + i), logits: "all" as const })),
      noPace,
    );
    for (const [i, logits] of outputs.entries()) expect([...logits]).toEqual(alone[i]?.slice(0, logits.length));
  });

  it("is loaded once for all that use it, and let go when memory is short", async () => {
    const pairs = randomPairs([0, 1, 2], LINEARS, 64, 9);
    const plan = adaptedPlan(pairs, 1);
    const other = adaptedPlan(randomPairs([0, 1, 2], LINEARS, 64, 10), 1);
    const engine = await load(2.5 * 2 ** 20);
    const first = await engine.open(plan, 32);
    const resident = engine.residentBytes();
    const second = await engine.open(plan, 32);
    expect(engine.residentBytes()).toBe(resident);
    first.close();
    second.close();
    // Room for one adapter at a time: the idle one goes.
    for (let i = 0; i < 3; i++) (await engine.open(i % 2 ? plan : other, 32)).close();
  });
});

describe("a bad adapter is refused at the build, by name:", () => {
  const build = (bytes: Uint8Array, recipe = recipeOf()): Adapter["linears"] =>
    packAdapter({ file: "random.safetensors", bytes, scaleOf: () => 1 }, recipe, tiny.base).adapter.linears;

  it("a rank above 64", () => {
    expect(() => build(safetensors(randomPairs([0], ["q"], 65, 1)))).toThrow("layer 0 q_proj has rank 65");
  });

  it("a factor of another shape", () => {
    const [pair] = randomPairs([0], ["down"], 4, 1) as [Pair];
    const short = { ...pair, cols: config.ffn - 32, a: pair.a.slice(0, 4 * (config.ffn - 32)) };
    expect(() => build(safetensors([short]))).toThrow(
      `layer 0 down_proj: lora_A is [4,${config.ffn - 32}], it must be [4, ${config.ffn}]`,
    );
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])("a factor that holds %d", (value) => {
    const [pair] = randomPairs([0], ["down"], 4, 1) as [Pair];
    pair.b[4 * 7 + 3] = value;
    expect(() => build(safetensors([pair]))).toThrow(`layer 0 down_proj: lora_B is ${value} at [7, 3]`);
  });

  it("a factor without its partner", () => {
    const bytes = safetensors(randomPairs([0], ["q"], 4, 1));
    const text = Buffer.from(bytes).toString("latin1").replace("q_proj.lora_B", "k_proj.lora_B");
    expect(() => build(Buffer.from(text, "latin1"))).toThrow("q_proj has no lora_B");
  });

  it("a tensor that is no linear of a layer", () => {
    const pairs = randomPairs([0], ["q"], 4, 1).map((pair) => ({ ...pair, name: "base_model.model.lm_head" }));
    expect(() => build(safetensors(pairs))).toThrow("lm_head.lora_A.weight");
  });

  it("a slot that the recipe lacks", () => {
    expect(() => build(safetensors(randomPairs([7], ["q"], 4, 1)), recipeOf("slots"))).toThrow(
      "slot 7 q_proj is not in",
    );
  });

  it("a layer that the base lacks", () => {
    expect(() => build(safetensors(randomPairs([3], ["q"], 4, 1)))).toThrow("layer 3 q_proj is not in the recipe");
  });

  it("a sublayer that the recipe drops, when its numbers count slots", () => {
    const recipe = recipeOf("slots", [{ layer: 0 }, { layer: 1, mlp: false }]);
    expect(() => build(safetensors(randomPairs([1], ["up"], 4, 1)), recipe)).toThrow(
      "slot 1 up_proj is not in the recipe",
    );
  });

  it("one that changes nothing in the recipe", () => {
    expect(() => build(safetensors(randomPairs([1], ["q"], 4, 1)))).toThrow("it changes nothing in the recipe");
  });

  it("a file that is cut short", () => {
    const bytes = safetensors(randomPairs([0], ["q"], 4, 1));
    expect(() => build(bytes.subarray(0, bytes.length - 4))).toThrow(/lora_\S+ ends beyond the file, which is cut off/);
    expect(() => build(bytes.subarray(0, 6))).toThrow("its header ends beyond the file");
  });
});
