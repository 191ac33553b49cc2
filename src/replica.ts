// Entry of the replica Worker with the WebAssembly engine: exports the Durable Object; wiring only.
import catalogueJson from "../dist/catalogue.json";
import plain from "../dist/kernels/plain.wasm";
import relaxed from "../dist/kernels/relaxed.wasm";
import { createWasmEngine } from "./engine/wasm/index.ts";
import { createReplicaClass, notFound } from "./replica/replica-object.ts";
import type { CatalogueFile } from "./variants/index.ts";

/** Answers for the weight set by which it is named, and for those that share its memory. */
export const Replica = createReplicaClass(catalogueJson as CatalogueFile, {
  load: (options) => createWasmEngine({ ...options, modules: { relaxed, plain } }),
  paceMultiplyAdds: 64e6,
  holdsMany: true,
});

export default { fetch: notFound };
