// Starts onnxruntime-web from a compiled module. Workers may not compile WebAssembly from bytes, and the package knows no other way,
// so while it starts, a call that would compile bytes is given the module instead.
import type { InferenceSession, Tensor } from "onnxruntime-web";

export type { InferenceSession, Tensor };
export type Ort = typeof import("onnxruntime-web");

export interface Runtime {
  readonly ort: Ort;
  /** The one WebAssembly memory of all sessions. It never shrinks. */
  readonly memory: WebAssembly.Memory;
  /** Does work when all work before it is done: the package keeps arguments on one stack across awaits, so calls must not mix. */
  exclusive<T>(work: () => Promise<T>): Promise<T>;
}

let started: Promise<Runtime> | undefined;

/**
 * The package keeps its state in its module, so there is one runtime an isolate, which later calls get again.
 * @param module `onnxruntime-web/ort-wasm-simd-threaded.wasm`, compiled
 */
export function startRuntime(module: WebAssembly.Module): Promise<Runtime> {
  started ??= start(module);
  return started;
}

async function start(module: WebAssembly.Module): Promise<Runtime> {
  const ort: Ort = await import("onnxruntime-web/wasm");
  ort.env.wasm.numThreads = 1;
  // Never read, but while it is set the package looks for no file.
  ort.env.wasm.wasmBinary = new Uint8Array(8);
  const original = WebAssembly.instantiate;
  let memory: WebAssembly.Memory | undefined;
  const instantiate: unknown = async (source: unknown, imports: WebAssembly.Imports) => {
    if (source instanceof WebAssembly.Module) return original(source, imports);
    memory = Object.values(imports)
      .flatMap((names) => Object.values(names))
      .find((value) => value instanceof WebAssembly.Memory);
    return { module, instance: await original(module, imports) };
  };
  WebAssembly.instantiate = instantiate as typeof original;
  try {
    // The package starts with the first session; one from an empty model starts it and is then refused.
    await ort.InferenceSession.create(new Uint8Array(0)).catch((error: unknown) => {
      if (!memory) throw error;
    });
  } finally {
    WebAssembly.instantiate = original;
  }
  if (!memory) throw new Error("onnxruntime-web has no WebAssembly memory");
  let turn: Promise<unknown> = Promise.resolve();
  return {
    ort,
    memory,
    exclusive(work) {
      const result = turn.then(work);
      turn = result.catch(() => undefined);
      return result;
    },
  };
}
