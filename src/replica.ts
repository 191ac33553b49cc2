// Entry of the replica Worker: exports the Durable Object; wiring only.
import ortModule from "onnxruntime-web/ort-wasm-simd-threaded.wasm";
import catalogueJson from "../dist/catalogue.json";
import plainKernels from "../dist/kernels/plain.wasm";
import relaxedKernels from "../dist/kernels/relaxed.wasm";
import { createOnnxEngine } from "./engine/onnx/index.ts";
import { createWasmEngine } from "./engine/wasm/index.ts";
import type { EngineTable } from "./replica/engine.ts";
import { createReplicaClass } from "./replica/replica.ts";
import { catalogueFileSchema, compileCatalogue } from "./variants/catalogue.ts";

const file = catalogueFileSchema.parse(catalogueJson);

const engines: EngineTable = {
  wasm: {
    load: (options) => createWasmEngine({ ...options, modules: { relaxed: relaxedKernels, plain: plainKernels } }),
    paceMultiplyAdds: 64e6,
  },
  onnx: {
    load: (options) => createOnnxEngine({ ...options, mode: "int8", module: ortModule }),
    paceMultiplyAdds: 16e6,
  },
};

/** Holds one set of weights; named by its base model. */
export const Replica = createReplicaClass({
  bases: file.bases,
  catalogue: compileCatalogue(file),
  kindOf: ({ ENGINE }) => {
    const kind = engines[ENGINE as keyof EngineTable];
    if (!kind)
      throw new Error(`ENGINE is ${ENGINE}; wrangler.replica.toml may say ${Object.keys(engines).join(" or ")}`);
    return kind;
  },
});

export default {
  /** Nothing is reachable from outside: the gateway calls the Durable Object. */
  fetch: () => new Response("not found", { status: 404 }),
};
