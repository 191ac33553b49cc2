// Guards the engine's digest, by which scores and fingerprints tell engines apart: one that computes other bits has another number.
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import plain from "../../../dist/kernels/plain.wasm";
import relaxed from "../../../dist/kernels/relaxed.wasm";
import { mulberry32 } from "../../../evaluation/random.ts";
import type { LogitsWanted } from "../../../src/engine/types.ts";
import { createWasmEngine, type WasmEngine } from "../../../src/engine/wasm/index.ts";
import { instantiate } from "../../../src/engine/wasm/kernels.ts";
import { LINEARS } from "../../../src/variants/layer-tensors.ts";
import type { Plan } from "../../../src/variants/plan.ts";
import { adaptedPlan, adaptedRecipe, randomPairs } from "./peft.ts";
import { config, MIXED, makeTiny, narrowPlan, openFrom, tinyPlan } from "./tiny.ts";

/** What each engine computes. Lines are added here, never changed: raise NUMERICS in engine.ts when bits change, and add one. */
const COMPUTED: Record<string, string> = {
  "wasm 1": "1dfc7af849f9c39082211f981a5acba427398d60275c247d87a152bc893657ce",
};

/** The same of linears of 8 bits. */
const COMPUTED_AT_8_BITS: Record<string, string> = {
  "wasm 1": "c6eb9df599aa33f29e2a317dadc52f0cbd2c42309cdc9f5855499a1bc4ad620f",
};

/** As the base has them: three query heads to a KV head, heads of 64, a hidden size of an odd number of blocks. */
const wide = {
  ...config,
  hidden: 288,
  heads: 9,
  kvHeads: 3,
  headDim: 64,
  ffn: 768,
  vocab: 1003,
  layers: 2,
  ropeTheta: 1e5,
};

it("has changed when the bits have: then raise NUMERICS in engine.ts and add a line to COMPUTED", async () => {
  let hash = createHash("sha256");
  const add = async (engine: WasmEngine, plan: Plan, wanted: (targets: readonly number[]) => LogitsWanted) => {
    const { vocab } = plan.base.config;
    const sequence = await engine.open(plan, 140);
    for (const count of [64, 64, 1, 3]) {
      const ids = Array.from({ length: count }, (_, i) => ((sequence.length + i) * 71 + 5) % vocab);
      const [output] = await engine.step([{ sequence, tokens: ids, logits: wanted(ids) }], () => undefined);
      hash.update(new Uint8Array(output!.slice().buffer));
    }
    sequence.close();
  };

  const files = new Map<string, Uint8Array>();
  const tiny = makeTiny();
  const open = async (file: { file: string; sha256: string; bytes: number }) =>
    (await openFrom(files)(file)) ?? tiny.open(file);
  const engine = await createWasmEngine({ base: tiny.base, open, modules: { relaxed, plain } });
  const slots = [{ layer: 2 }, { layer: 0, attn: false }, { layer: 1 }, { layer: 1, mlp: false }, { layer: 2 }];
  const recipe = adaptedRecipe("layers", slots);
  await add(engine, tinyPlan(tiny.base, slots), () => "all");
  await add(engine, tinyPlan(tiny.base), (targets) => ({ targets, top: 20 }));
  for (const rank of [8, 40]) {
    const pairs = randomPairs(config, [0, 1, 2], LINEARS, rank, rank);
    await add(engine, adaptedPlan({ base: tiny.base, pairs, scale: 0.7, recipe, files }), () => "last");
  }
  const other = makeTiny({ shape: wide, narrow: false });
  const larger = await createWasmEngine({ base: other.base, open: other.open, modules: { relaxed, plain } });
  await add(larger, tinyPlan(other.base, [{ layer: 0 }, { layer: 1 }]), () => "all");

  addFunctions(hash);
  expect({ [engine.digest]: hash.digest("hex") }).toEqual({ [engine.digest]: COMPUTED[engine.digest] });

  hash = createHash("sha256");
  const mixed = makeTiny({ eight: MIXED });
  const eight = await createWasmEngine({ base: mixed.base, open: mixed.open, modules: { relaxed, plain } });
  await add(eight, tinyPlan(mixed.base), () => "all");
  await add(eight, narrowPlan(mixed.base), () => "all");
  expect({ [eight.digest]: hash.digest("hex") }).toEqual({ [eight.digest]: COMPUTED_AT_8_BITS[eight.digest] });
});

/** e^x, cosines and sines as they come: what they feed is rounded to 8 bits, where a change of the last bit seldom shows. */
function addFunctions(hash: ReturnType<typeof createHash>): void {
  const memory = new WebAssembly.Memory({ initial: 8 });
  const { kernels } = instantiate({ plain: relaxed }, memory);
  const f32 = new Float32Array(memory.buffer);
  const random = mulberry32(5);
  const [state, values, results, count] = [1024, 2048, 262_144, 8192];
  f32.set([Number.NEGATIVE_INFINITY, 0, 0, 0], state / 4);
  for (let i = 0; i < count; i++) f32[values / 4 + i] = -20 * random();
  kernels.sumExp(values, count / 8, state);
  hash.update(new Uint8Array(memory.buffer, state, 16));
  for (let i = 0; i < 32; i++) f32[values / 4 + i] = random() ** 3;
  for (let position = 0; position < 8192; position += 97) {
    kernels.angles(position, values, 32, results);
    hash.update(new Uint8Array(memory.buffer, results, 256));
  }
}
