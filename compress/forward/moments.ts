// Sums moments of inputs as they come out of the forward pass, in chunks: within a chunk in fp32, over chunks in fp64 (Gram: fp32).
import { createGraph } from "../../src/engine/onnx/graph.ts";
import type { Graph } from "../../src/engine/onnx/proto.ts";
import type { Moments } from "../moments.ts";
import { floats, openSession } from "./session.ts";

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

/**
 * In: x `[rows, cols]`. Out: sum and squares `[cols]`, or, of the Gram matrix, whose diagonal is the squares, sum and `transposed`
 * `[cols, rows]`. Sums of rows are faster than those of columns, and so are products with a second matrix that is transposed.
 */
function sumsGraph(gram: boolean): Graph {
  const graph = createGraph();
  const transposed = graph.op("Transpose", [graph.input("x", ["rows", "cols"])], { perm: [1, 0] });
  const along = [transposed, graph.shape(1)];
  graph.output(graph.op("ReduceSum", along, { keepdims: 0 }), "sum", ["cols"]);
  if (gram) graph.output(transposed, "transposed", ["cols", "rows"]);
  else graph.output(graph.op("ReduceSumSquare", along, { keepdims: 0 }), "squares", ["cols"]);
  return graph.build();
}

/** In: a `[some, rows]`, b `[others, rows]`, before `[some, others]`. Out: product = before + a b^T. */
function slabGraph(): Graph {
  const graph = createGraph();
  const inputs = [graph.input("a", ["some", "rows"]), graph.input("b", ["others", "rows"])];
  const before = graph.input("before", ["some", "others"]);
  graph.output(graph.op("Gemm", [...inputs, before], { transB: 1 }), "product", ["some", "others"]);
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

/** @param gram whether sums of x x^T are wanted, which cost more than half as much as a linear of `cols` outputs */
export function createMomentsMaker({ gram, threads }: { gram: boolean; threads?: number | undefined }): MomentsMaker {
  const sums = openSession(sumsGraph(gram), threads);
  const product = openSession(slabGraph(), threads);
  let scratch = new Float32Array();
  return {
    start(cols) {
      let tokens = 0;
      const sum = new Float64Array(cols);
      const squares = new Float64Array(cols);
      const slabs = (gram ? slabsOf(cols) : []).map((slab) => {
        const values = () => new Float32Array((slab.end - slab.first) * (cols - slab.first));
        return { ...slab, current: values(), next: values() };
      });
      return {
        async add(x) {
          const rows = x.length / cols;
          if (gram && scratch.length < x.length) scratch = new Float32Array(x.length);
          const turned = scratch.subarray(0, x.length);
          const out = await (await sums).run(
            { x: floats(x, rows, cols) },
            gram ? { transposed: floats(turned, cols, rows) } : undefined,
          );
          for (const slab of slabs) {
            const { first, end, current, next } = slab;
            const part = (to: number) => floats(turned.subarray(first * rows, to * rows), to - first, rows);
            const shape = [end - first, cols - first] as const;
            await (await product).run(
              { a: part(end), b: part(cols), before: floats(current, ...shape) },
              { product: floats(next, ...shape) },
            );
            [slab.current, slab.next] = [next, current];
          }
          tokens += rows;
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
      for (const session of [sums, product]) await (await session).release();
    },
  };
}

function addInto(total: Float64Array, part: Float32Array): void {
  for (let i = 0; i < part.length; i++) (total[i] as number) += part[i] as number;
}
