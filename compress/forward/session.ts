// Native onnxruntime sessions of graphs built in TypeScript. Weights are inputs, so that one session serves every layer of a shape.
import { availableParallelism } from "node:os";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { encodeModel, type Graph } from "../../src/engine/onnx/proto.ts";

export type Tensors = Readonly<Record<string, Tensor>>;

export interface Session {
  /**
   * Runs the graph; other JavaScript waits meanwhile.
   * @param into arrays that outputs are written to; the others, like copies of these that nobody needs, are allocated
   */
  run(inputs: Tensors, into?: Tensors): Promise<Tensors>;
  release(): Promise<void>;
}

export const floats = (values: Float32Array, ...dims: number[]): Tensor => new Tensor("float32", values, dims);
export const doubles = (values: Float64Array, ...dims: number[]): Tensor => new Tensor("float64", values, dims);
export const int32 = (values: Int32Array, ...dims: number[]): Tensor => new Tensor("int32", values, dims);
export const int64 = (values: BigInt64Array, ...dims: number[]): Tensor => new Tensor("int64", values, dims);

/** @param threads default: as many as the machine has */
export async function openSession(graph: Graph, threads = availableParallelism()): Promise<Session> {
  const { model } = encodeModel(graph, Number.POSITIVE_INFINITY);
  const session = await InferenceSession.create(model, {
    executionProviders: ["cpu"],
    graphOptimizationLevel: "all",
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
    // Threads that wait by spinning would take the cores from the JavaScript between two runs.
    extra: { session: { intra_op: { allow_spinning: "0" } } },
  });
  const unwritten = Object.fromEntries(session.outputNames.map((name) => [name, null]));
  return {
    run: (inputs, into) => session.run(inputs, into ? { ...unwritten, ...into } : unwritten) as Promise<Tensors>,
    release: () => session.release(),
  };
}
