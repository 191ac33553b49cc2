// Entry of the replica Worker with the onnxruntime-web engine: its 14 MB stay out of the other entry's isolate. Wiring only.
import ort from "onnxruntime-web/ort-wasm-simd-threaded.wasm";
import catalogueJson from "../dist/catalogue.json";
import { createOnnxEngine } from "./engine/onnx/index.ts";
import { createReplicaClass, notFound } from "./replica/replica-object.ts";
import type { CatalogueFile } from "./variants/index.ts";

/** Holds one set of weights; named by its base model. */
export const Replica = createReplicaClass(catalogueJson as CatalogueFile, {
  load: (options) => createOnnxEngine({ ...options, mode: "int8", module: ort }),
  paceMultiplyAdds: 16e6,
});

export default { fetch: notFound };
