// Sums moments of inputs as they come out of the forward pass, in chunks: within a chunk in fp32, over chunks in fp64 (Gram: fp32).
import { createGraph } from "../../src/engine/onnx/graph.ts";
import type { Graph } from "../../src/engine/onnx/proto.ts";
import type { Moments } from "../moments.ts";
import { floats, openSession, type Session, type Tensors } from "./session.ts";

/** In: x `[rows, cols]`, before `[cols, cols]`. Out: sum and squares `[cols]`; gram = before + x^T x. */
function momentsGraph(cols: number, gram: boolean): Graph {
  const graph = createGraph();
  const x = graph.input("x", ["rows", cols]);
  const axis = graph.shape(0);
  graph.output(graph.op("ReduceSum", [x, axis], { keepdims: 0 }), "sum", [cols]);
  graph.output(graph.op("ReduceSumSquare", [x, axis], { keepdims: 0 }), "squares", [cols]);
  if (gram) {
    const before = graph.input("before", [cols, cols]);
    graph.output(graph.op("Gemm", [x, x, before], { transA: 1 }), "gram", [cols, cols]);
  }
  return graph.build();
}

export interface Summing {
  /** @param x `[rows, cols]` */
  add(x: Float32Array): Promise<void>;
  /** What has been added so far. */
  readonly moments: Moments;
}

export interface MomentsMaker {
  /** Begins the sums of one input. */
  start(cols: number): Summing;
  close(): Promise<void>;
}

/** @param gram whether sums of x x^T are wanted, which cost as much as a linear of `cols` outputs */
export function createMomentsMaker({ gram, threads }: { gram: boolean; threads?: number | undefined }): MomentsMaker {
  const sessions = new Map<number, Promise<Session>>();
  const sessionOf = (cols: number): Promise<Session> => {
    const session = sessions.get(cols) ?? openSession(momentsGraph(cols, gram), threads);
    sessions.set(cols, session);
    return session;
  };
  return {
    start(cols) {
      let tokens = 0;
      const sum = new Float64Array(cols);
      const squares = new Float64Array(cols);
      let current = gram ? new Float32Array(cols * cols) : undefined;
      let next = gram ? new Float32Array(cols * cols) : undefined;
      return {
        async add(x) {
          const session = await sessionOf(cols);
          const inputs: Tensors = { x: floats(x, x.length / cols, cols) };
          const out =
            current && next
              ? await session.run(
                  { ...inputs, before: floats(current, cols, cols) },
                  { gram: floats(next, cols, cols) },
                )
              : await session.run(inputs);
          [current, next] = [next, current];
          tokens += x.length / cols;
          addInto(sum, out.sum?.data as Float32Array);
          addInto(squares, out.squares?.data as Float32Array);
        },
        get moments() {
          return { tokens, cols, sum, squares, gram: current };
        },
      };
    },
    async close() {
      for (const session of sessions.values()) await (await session).release();
      sessions.clear();
    },
  };
}

function addInto(total: Float64Array, part: Float32Array): void {
  for (let i = 0; i < part.length; i++) (total[i] as number) += part[i] as number;
}
