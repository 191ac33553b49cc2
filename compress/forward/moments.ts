// Sums moments of inputs as they come out of the forward pass, in chunks: within a chunk in fp32, over chunks in fp64 (Gram: fp32).
import { createGraph } from "../../src/engine/onnx/graph.ts";
import type { Graph } from "../../src/engine/onnx/proto.ts";
import type { Moments } from "../moments.ts";
import { floats, openSession, type Session, type Tensors } from "./session.ts";

/** A Gram matrix is symmetric: of its rows in slabs of about so many, what is right of a slab's first column is computed. */
const SLAB = 512;

/** Rows `first` to `end` of a Gram matrix, from its column `first` on. */
interface Slab {
  readonly first: number;
  readonly end: number;
}

function slabsOf(cols: number): Slab[] {
  const count = Math.max(1, Math.round(cols / SLAB));
  const edge = (i: number): number => Math.round((i * cols) / count);
  return Array.from({ length: count }, (_, i) => ({ first: edge(i), end: edge(i + 1) }));
}

/** In: x `[rows, cols]`, a slab `before` each. Out: sum and squares `[cols]`; without squares the slabs `gram` = before + x^T x. */
function momentsGraph(cols: number, gram: boolean): Graph {
  const graph = createGraph();
  const x = graph.input("x", ["rows", cols]);
  // Sums of rows, and products with a matrix that is transposed beforehand, are faster than those of columns.
  const transposed = graph.op("Transpose", [x], { perm: [1, 0] });
  const along = [transposed, graph.shape(1)];
  graph.output(graph.op("ReduceSum", along, { keepdims: 0 }), "sum", [cols]);
  if (!gram) {
    graph.output(graph.op("ReduceSumSquare", along, { keepdims: 0 }), "squares", [cols]);
    return graph.build();
  }
  for (const { first, end } of slabsOf(cols)) {
    // A slice of everything is a copy, too.
    const rows =
      end - first === cols
        ? transposed
        : graph.op("Slice", [transposed, graph.shape(first), graph.shape(end), graph.shape(0)]);
    const right = first === 0 ? x : graph.op("Slice", [x, graph.shape(first), graph.shape(cols), graph.shape(1)]);
    const before = graph.input(`before${first}`, [end - first, cols - first]);
    graph.output(graph.op("Gemm", [rows, right, before]), `gram${first}`, [end - first, cols - first]);
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
      const slabs = (gram ? slabsOf(cols) : []).map((slab) => {
        const values = () => new Float32Array((slab.end - slab.first) * (cols - slab.first));
        return { ...slab, current: values(), next: values() };
      });
      const tensors = (name: string, which: "current" | "next"): Tensors =>
        Object.fromEntries(
          slabs.map((slab) => [`${name}${slab.first}`, floats(slab[which], slab.end - slab.first, cols - slab.first)]),
        );
      return {
        async add(x) {
          const session = await sessionOf(cols);
          const inputs = { x: floats(x, x.length / cols, cols), ...tensors("before", "current") };
          const out = await session.run(inputs, tensors("gram", "next"));
          for (const slab of slabs) [slab.current, slab.next] = [slab.next, slab.current];
          tokens += x.length / cols;
          addInto(sum, out.sum?.data as Float32Array);
          if (!gram) addInto(squares, out.squares?.data as Float32Array);
        },
        get moments() {
          if (!gram) return { tokens, cols, sum, squares };
          const whole = new Float32Array(cols * cols);
          for (const { first, end, current } of slabs) {
            const width = cols - first;
            for (let row = first; row < end; row++) {
              for (let col = row; col < cols; col++) {
                const value = current[(row - first) * width + col - first] as number;
                whole[row * cols + col] = value;
                whole[col * cols + row] = value;
              }
            }
          }
          return { tokens, cols, sum, squares: squares.map((_, i) => whole[i * cols + i] as number), gram: whole };
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
