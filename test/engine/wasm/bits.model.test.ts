// The base's logits, to the bit, with relaxed SIMD and without.
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { readKernels } from "../../../evaluation/offline/wasm.ts";
import { createWasmEngine, type WasmEngine } from "../../../src/engine/wasm/index.ts";
import type { Plan } from "../../../src/variants/plan.ts";
import { openBuilt } from "./built.ts";
import { sharedEngine } from "./shared-engine.ts";

/** A digest of an engine's logits. */
async function digestOf(engine: WasmEngine, plan: Plan): Promise<string> {
  const sequence = await engine.open(plan, 64);
  const hash = createHash("sha256");
  for (const count of [40, 1, 5]) {
    const tokens = Array.from({ length: count }, (_, i) => (i * 7919 + 504) % plan.base.config.vocab);
    const chunk = [{ sequence, tokens, logits: "last" as const }];
    const [logits = new Float32Array(0)] = await engine.step(chunk, () => undefined);
    hash.update(new Uint8Array(logits.slice().buffer));
  }
  return hash.digest("hex");
}

it("computes the same bits with relaxed and with plain SIMD", async () => {
  const { catalogue, engine } = await sharedEngine();
  const { plan } = catalogue.get("smollm2-135m-attn-drop-5")!;
  const { plain } = await readKernels();
  const other = await createWasmEngine({ base: plan.base, open: openBuilt, modules: { plain } });
  expect([engine.build, other.build]).toEqual(["relaxed", "plain"]);
  expect(await digestOf(other, plan)).toBe(await digestOf(engine, plan));
});
