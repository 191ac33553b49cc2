// The benchmark's Worker with the onnxruntime-web engine, loaded as the replica loads it.
import module from "onnxruntime-web/ort-wasm-simd-threaded.wasm";
import { createOnnxEngine } from "../../src/engine/onnx/index.ts";
import { createBenchWorker } from "./serve.ts";

export default createBenchWorker({
  load: (options) => createOnnxEngine({ ...options, mode: "int8", module }),
  paceMultiplyAdds: 16e6,
});
