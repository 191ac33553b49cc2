// Turns graphs into sessions. A session's weights lie in the runtime's memory once; nothing of them stays behind in JavaScript.
import { EngineError } from "../types.ts";
import { type EncodedModel, EXTERNAL_FILE, encodeModel, type Graph } from "./proto.ts";
import type { InferenceSession, Runtime, Tensor } from "./runtime.ts";

export type Tensors = Readonly<Record<string, Tensor>>;

export interface Session {
  readonly inputs: readonly InferenceSession.ValueMetadata[];
  readonly outputs: readonly InferenceSession.ValueMetadata[];
  /** @throws EngineError `out_of_memory` when the runtime's memory cannot grow */
  run(inputs: Tensors): Promise<Tensors>;
  /** Gives its memory back to the runtime; it may not be run again. */
  release(): Promise<void>;
}

/** @throws EngineError `out_of_memory` when the runtime's memory cannot grow */
export const createSession = (runtime: Runtime, graph: Graph): Promise<Session> =>
  openSession(runtime, encodeModel(graph));

/**
 * A session of an encoded model.
 * @throws EngineError `out_of_memory` when the runtime's memory cannot grow; else what the runtime says of the model
 */
export async function openSession(runtime: Runtime, { model, external }: EncodedModel): Promise<Session> {
  const session = await runtime.exclusive(() =>
    runtime.ort.InferenceSession.create(model, {
      executionProviders: ["wasm"],
      graphOptimizationLevel: "all",
      logSeverityLevel: 4,
      ...(external ? { externalData: [{ path: EXTERNAL_FILE, data: external }] } : {}),
    }).catch(outOfMemory),
  );
  return {
    inputs: session.inputMetadata,
    outputs: session.outputMetadata,
    run: (inputs) => runtime.exclusive(() => session.run(inputs).catch(outOfMemory)),
    release: () => runtime.exclusive(() => session.release()),
  };
}

function outOfMemory(error: unknown): never {
  const text = error instanceof Error ? error.message : String(error);
  if (/bad_alloc|failed to allocate|out of memory/i.test(text)) {
    throw new EngineError("out_of_memory", `onnxruntime-web ran out of memory: ${text}`);
  }
  throw error;
}
