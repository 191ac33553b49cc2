// The same bits alone, in a batch, in chunks: a tiny base in the Workers runtime, with both builds of the kernels.
import { describe, expect, it } from "vitest";
import plain from "../../../dist/kernels/plain.wasm";
import relaxed from "../../../dist/kernels/relaxed.wasm";
import { mulberry32 } from "../../../evaluation/random.ts";
import { createWasmEngine } from "../../../src/engine/wasm/index.ts";
import type { BaseModel } from "../../../src/variants/base.ts";
import { LINEARS } from "../../../src/variants/layer-tensors.ts";
import { alone, CHUNKS, digests, type Run, whole } from "./identity.ts";
import { adaptedPlan, adaptedRecipe, randomPairs } from "./peft.ts";
import { config, MIXED, makeTiny, narrowPlan, openFrom, tinyPlan } from "./tiny.ts";

const files = new Map<string, Uint8Array>();
const adapted = (base: BaseModel, rank: number, slots: object[]) =>
  adaptedPlan({
    base,
    pairs: randomPairs(config, [0, 1, 2], LINEARS, rank, rank),
    scale: 1,
    recipe: adaptedRecipe("layers", slots),
    files,
  });
const slots = [{ layer: 0 }, { layer: 1, attn: false }, { layer: 2 }, { layer: 2, mlp: false }, { layer: 1 }];
const plansOf = (base: BaseModel) => [
  tinyPlan(base),
  tinyPlan(base, slots),
  narrowPlan(base),
  adapted(base, 8, [{ layer: 0 }, { layer: 1 }, { layer: 2 }]),
  adapted(base, 40, slots),
];
const random = mulberry32(3);
const ids = Array.from({ length: 100 }, () => Math.floor(random() * config.vocab));
const LENGTHS = [1, 5, 31, 32, 33, 64, 65, 97];

const fourBits = makeTiny();
const mixed = makeTiny({ eight: MIXED });
describe.each([
  ["relaxed", "4", { relaxed, plain }, fourBits],
  ["plain", "4", { plain }, fourBits],
  ["relaxed", "4 and 8", { relaxed, plain }, mixed],
  ["plain", "4 and 8", { plain }, mixed],
] as const)("the %s kernels, over linears of %s bits,", async (build, _, modules, { base, open }) => {
  const plans = plansOf(base);
  const runs = LENGTHS.map((length, i): Run => {
    const chunks = [...CHUNKS.slice(i % CHUNKS.length), ...CHUNKS.slice(0, i % CHUNKS.length)];
    return { plan: plans[i % plans.length]!, ids: ids.slice(i, i + length), chunks };
  });
  const engine = await createWasmEngine({
    base,
    open: async (file) => (await openFrom(files)(file)) ?? open(file),
    modules,
  });
  expect(engine.build).toBe(build);

  it("give eight sequences of five plans, in chunks of many sizes, the bits that each has alone and whole", async () => {
    expect(await digests(engine, runs)).toEqual(await alone(engine, runs));
  });

  it.each([...plans.entries()])("give plan %i the same bits in chunks of any size", async (_, plan) => {
    const run = { plan, ids, chunks: [64] };
    const expected = await digests(engine, [whole(run)]);
    expect(new Set(expected[0]).size).toBe(ids.length);
    for (const size of CHUNKS) expect(await digests(engine, [{ ...run, chunks: [size] }])).toEqual(expected);
  });

  it("give the same bits to a sequence beside any number of others", async () => {
    const run = { plan: plans[3]!, ids: ids.slice(0, 40), chunks: [1] };
    const expected = await digests(engine, [run]);
    for (let count = 2; count <= 8; count++) {
      const others = Array.from({ length: count - 1 }, (_, i) => ({ ...run, plan: plans[i % plans.length]! }));
      const together = await digests(engine, [...others, run]);
      expect(together.at(-1)).toEqual(expected[0]);
    }
  });
});
