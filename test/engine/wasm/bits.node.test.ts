// The base's logits, to the bit, with relaxed SIMD and without.
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { readKernels } from "../../../evaluation/offline/wasm.ts";
import { createWasmEngine, type KernelModules } from "../../../src/engine/wasm/index.ts";
import { openBuilt, readCatalogue } from "./built.ts";

/** Which build ran, and a digest of its logits. */
async function run(modules: KernelModules): Promise<[build: string, digest: string]> {
  const plan = (await readCatalogue()).get("smollm2-135m-attn-drop-5")!.plan;
  const engine = await createWasmEngine({ base: plan.base, open: openBuilt, modules });
  const sequence = await engine.open(plan, 64);
  const hash = createHash("sha256");
  for (const count of [40, 1, 5]) {
    const tokens = Array.from({ length: count }, (_, i) => (i * 7919 + 504) % plan.base.config.vocab);
    const chunk = [{ sequence, tokens, logits: "last" as const }];
    const [logits = new Float32Array(0)] = await engine.step(chunk, () => undefined);
    hash.update(new Uint8Array(logits.slice().buffer));
  }
  return [engine.build, hash.digest("hex")];
}

it("computes the same bits with relaxed and with plain SIMD", async () => {
  const { relaxed, plain } = await readKernels();
  const [first, relaxedDigest] = await run({ relaxed, plain });
  const [second, plainDigest] = await run({ plain });
  expect([first, second]).toEqual(["relaxed", "plain"]);
  expect(plainDigest).toBe(relaxedDigest);
});
