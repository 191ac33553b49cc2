// Prints which build of the kernels runs in this Node, and a digest of the base's logits with it.
import { createHash } from "node:crypto";
import { createWasmEngine } from "../../../src/engine/wasm/index.ts";
import { openBuilt, readCatalogue, readModules } from "./built.ts";

const plan = (await readCatalogue()).get("smollm2-135m-attn-drop-5")?.plan;
if (!plan) throw new Error("smollm2-135m-attn-drop-5 is not in the catalogue");
const engine = await createWasmEngine({ base: plan.base, open: openBuilt, modules: await readModules() });
const sequence = await engine.open(plan, 64);
const hash = createHash("sha256");
for (const count of [40, 1, 5]) {
  const tokens = Array.from({ length: count }, (_, i) => (i * 7919 + 504) % plan.base.config.vocab);
  const [logits = new Float32Array(0)] = await engine.step([{ sequence, tokens, logits: "last" }], () => undefined);
  hash.update(new Uint8Array(logits.slice().buffer));
}
console.log(engine.build, hash.digest("hex"));
