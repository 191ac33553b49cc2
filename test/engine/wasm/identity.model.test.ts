// The same bits alone, in a batch, in chunks: the real base, its variants, and adapters of its size.
import { beforeAll, expect, it } from "vitest";
import type { WasmEngine } from "../../../src/engine/wasm/index.ts";
import type { Plan } from "../../../src/variants/plan.ts";
import { slotRecipeSchema } from "../../../src/variants/recipe.ts";
import { alone, CHUNKS, digests, type Run } from "./identity.ts";
import { adaptedPlan, randomPairs } from "./peft.ts";
import { sharedEngine } from "./shared-engine.ts";

const plans: Plan[] = [];
let engine: WasmEngine;

beforeAll(async () => {
  const { catalogue, files, ...shared } = await sharedEngine();
  engine = shared.engine;
  const variants = ["attn-drop-10", "block-drop-6", "franken-9-19r2"].map((name) => `smollm2-135m-${name}`);
  for (const id of ["smollm2-135m", ...variants]) plans.push(catalogue.get(id)!.plan);
  const { base } = plans[0]!;
  for (const [i, id] of ["smollm2-135m", "smollm2-135m-attn-drop-10"].entries()) {
    const recipe = slotRecipeSchema.parse({
      ...catalogue.get(id)!.recipe,
      id: `${id}-adapted`,
      adapter: { file: "models/adapters/random.safetensors" },
    });
    const pairs = randomPairs(base.config, [0, 1, 2, 11], i ? ["q", "o", "up"] : ["v", "gate", "down"], 16 + i, i);
    plans.push(adaptedPlan({ base, pairs, scale: 0.05, recipe, files }));
  }
});

const ids = Array.from({ length: 80 }, (_, i) => (i * 7919 + 504) % 49_152);

it("gives eight sequences of six plans, in chunks of many sizes, the bits that each has alone and whole", async () => {
  const runs = [1, 5, 14, 31, 32, 33, 40, 65].map((length, i): Run => {
    const chunks = [...CHUNKS.slice(i % CHUNKS.length), ...CHUNKS.slice(0, i % CHUNKS.length)];
    return { plan: plans[(i * 5) % plans.length]!, ids: ids.slice(i, i + length), chunks };
  });
  expect(await digests(engine, runs)).toEqual(await alone(engine, runs));
});

it("gives the same bits in chunks of any size", async () => {
  const run = { plan: plans.at(-1)!, ids: ids.slice(0, 40), chunks: [64] };
  const expected = await digests(engine, [run]);
  expect(new Set(expected[0]).size).toBe(40);
  for (const size of CHUNKS) expect(await digests(engine, [{ ...run, chunks: [size] }])).toEqual(expected);
});
