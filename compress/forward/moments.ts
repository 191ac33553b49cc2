// Sums moments of the linears' inputs where they are: as outputs of the sublayer's own graph, a chunk of tokens at a time. Whatever comes out
// of onnxruntime is copied into new memory, which the garbage collector then has to find, so that the inputs themselves stay inside.
// Within a chunk sums are in fp32, over chunks in fp64.
import type { GraphBuilder } from "../../src/engine/onnx/graph.ts";
import type { Moments } from "../moments.ts";
import type { Tensors } from "./session.ts";

/** A Gram matrix is symmetric: of its columns in bands of about so many, what is below a band's first row is computed. */
const BAND = 192;

/** Columns `first` to `end` of a Gram matrix, from its row `first` on. */
interface Band {
  readonly first: number;
  readonly end: number;
}

function bandsOf(cols: number): Band[] {
  const count = Math.max(1, Math.round(cols / BAND));
  const edge = (i: number): number => Math.round((i * cols) / count);
  return Array.from({ length: count }, (_, i) => ({ first: edge(i), end: edge(i + 1) }));
}

/**
 * Has a graph put out the sums over all rows of x `[..., cols]`: NAMESum and NAMESquares `[cols]`, or, where the Gram matrix is wanted, whose
 * diagonal is the squares, NAMESum and NAMEGram0, NAMEGram1, … of its bands `[cols - first, end - first]`. Sums of rows are faster than those of
 * columns, and so are products with a second matrix that is transposed.
 */
export function addMoments(graph: GraphBuilder, name: string, x: string, cols: number, gram: boolean): void {
  const rows = graph.op("Reshape", [x, graph.shape(-1, cols)]);
  const turned = graph.op("Transpose", [rows], { perm: [1, 0] });
  const along = [turned, graph.shape(1)];
  graph.output(graph.op("ReduceSum", along, { keepdims: 0 }), `${name}Sum`, [cols]);
  if (!gram) {
    graph.output(graph.op("ReduceSumSquare", along, { keepdims: 0 }), `${name}Squares`, [cols]);
    return;
  }
  // onnxruntime copies even a slice of everything.
  const part = (from: number, to: number): string =>
    to - from === cols ? turned : graph.op("Slice", [turned, graph.shape(from), graph.shape(to), graph.shape(0)]);
  for (const [i, { first, end }] of bandsOf(cols).entries()) {
    const product = graph.op("Gemm", [part(first, cols), part(first, end)], { transB: 1 });
    graph.output(product, `${name}Gram${i}`, [cols - first, end - first]);
  }
}

/** Moments of several inputs, by the names that `addMoments` was given. */
export interface MomentSums<Name extends string> {
  /** Whether Gram matrices are wanted, which cost more than half as much as a linear of `cols` outputs. */
  readonly gram: boolean;
  /** Adds what a graph put out of some rows of an input. */
  add(name: Name, rows: number, outputs: Tensors): void;
  /** What has been added so far. */
  moments(): ReadonlyMap<Name, Moments>;
}

interface Sums {
  tokens: number;
  readonly sum: Float64Array;
  readonly squares: Float64Array;
  readonly bands: readonly Float64Array[];
}

export function createMomentSums<Name extends string>({ gram }: { gram: boolean }): MomentSums<Name> {
  const all = new Map<Name, Sums>();
  return {
    gram,
    add(name, rows, outputs) {
      const found = (what: string) => outputs[`${name}${what}`]?.data as Float32Array;
      const cols = found("Sum").length;
      const known = all.get(name) ?? {
        tokens: 0,
        sum: new Float64Array(cols),
        squares: new Float64Array(gram ? 0 : cols),
        bands: (gram ? bandsOf(cols) : []).map(({ first, end }) => new Float64Array((end - first) * (cols - first))),
      };
      all.set(name, known);
      known.tokens += rows;
      addInto(known.sum, found("Sum"));
      if (!gram) addInto(known.squares, found("Squares"));
      for (const [i, band] of known.bands.entries()) addInto(band, found(`Gram${i}`));
    },
    moments: () => new Map([...all].map(([name, sums]) => [name, gram ? withGram(sums) : momentsOf(sums)])),
  };
}

const momentsOf = ({ tokens, sum, squares }: Sums): Moments => ({ tokens, cols: sum.length, sum, squares });

function withGram(sums: Sums): Moments {
  const cols = sums.sum.length;
  const gram = new Float32Array(cols * cols);
  for (const [i, { first, end }] of bandsOf(cols).entries()) {
    const band = sums.bands[i] as Float64Array;
    const width = end - first;
    for (let row = first; row < cols; row++) {
      for (let col = first; col < Math.min(end, row + 1); col++) {
        const value = band[(row - first) * width + col - first] as number;
        gram[row * cols + col] = value;
        gram[col * cols + row] = value;
      }
    }
  }
  return { ...momentsOf(sums), squares: sums.sum.map((_, i) => gram[i * cols + i] as number), gram };
}

function addInto(total: Float64Array, part: Float32Array): void {
  for (let i = 0; i < part.length; i++) (total[i] as number) += part[i] as number;
}
