// The benchmark's Worker with the WebAssembly engine, loaded as the replica loads it; only that 4,096 tokens of the base fit too.
import plain from "../../dist/kernels/plain.wasm";
import relaxed from "../../dist/kernels/relaxed.wasm";
import { CEILING_BYTES } from "../../evaluation/offline/engine-run.ts";
import { createWasmEngine } from "../../src/engine/wasm/index.ts";
import { createBenchWorker } from "./serve.ts";

export default createBenchWorker({
  load: (options) => createWasmEngine({ ...options, modules: { relaxed, plain }, ceilingBytes: CEILING_BYTES }),
  paceMultiplyAdds: 64e6,
});
