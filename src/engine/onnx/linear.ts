// Matrix products of both modes. A weight is cut into blocks `[block, in, out]` and multiplied as one batched product: the runtime
// repacks a quantized weight on every call, and does that twice as fast in blocks some hundred columns wide as in the whole matrix.
import type { GraphBuilder } from "./graph.ts";
import { DATA_TYPE } from "./proto.ts";

/** `fp32`: plain arithmetic. `int8`: weights as int8 per output column, activations as 15 bits per row. */
export type Mode = "fp32" | "int8";

/** A weight and how it is cut. Block b makes, or reads, the b-th equal share of the features. */
export interface Blocks {
  /** fp32 `[rows, cols]`: output features by input features. */
  readonly weight: Float32Array;
  readonly cols: number;
  /** `output`: each block makes some of the outputs. `input`: each reads some of the inputs, and the products are to be summed. */
  readonly cut: "output" | "input";
  readonly blocks: number;
}

const WIDEST_BLOCK = 768;
const NARROWEST_BLOCK = 128;

/** In how many blocks to cut `features`: the fewest that divide it evenly and are not too wide; 1 when only slivers would. */
export function blockCount(features: number): number {
  for (let count = Math.ceil(features / WIDEST_BLOCK); features / count >= NARROWEST_BLOCK; count++) {
    if (features % count === 0) return count;
  }
  return 1;
}

/** Input and output features of a block. */
export function blockShape({ weight, cols, cut, blocks }: Blocks): { inner: number; outer: number } {
  const rows = weight.length / cols;
  return cut === "output" ? { inner: cols, outer: rows / blocks } : { inner: cols / blocks, outer: rows };
}

/** A row's coarse part is in steps of 1/127 of its largest value, its fine part in steps of 1/254 of that. */
const FINE = 254;

/**
 * Adds the product of `x` with a weight. In int8 mode each row is multiplied as two rows of 8 bits, coarse and fine: one alone costs
 * 0.2 of mean negative log-likelihood on the reference vectors, and as repacking is most of the work of a single row, two cost little more.
 * @param x name of fp32 `[rows, inner]`, or `[blocks, rows, inner]`
 * @returns name of fp32 `[blocks, rows, outer]`
 */
export function linear(graph: GraphBuilder, mode: Mode, x: string, weight: Blocks): string {
  const { blocks } = weight;
  const { inner, outer } = blockShape(weight);
  const dims = [blocks, inner, outer];
  if (mode === "fp32") return graph.op("MatMul", [x, graph.constant(transposed(weight), dims, "float32")]);

  const largest = graph.op("ReduceMax", [graph.op("Abs", [x]), graph.shape(-1)], { keepdims: 1 });
  const rowScale = graph.op("Mul", [largest, graph.scalar(1 / 127)]);
  const scaled = graph.op("Div", [x, rowScale]);
  const coarse = graph.op("Round", [scaled]);
  const fine = graph.op("Mul", [graph.op("Sub", [scaled, coarse]), graph.scalar(FINE)]);
  // Casting truncates, so half is added to round; 128 is the zero point. A row of zeros has scale 0, and so has its product.
  const shifted = graph.op("Add", [graph.op("Concat", [coarse, fine], { axis: -2 }), graph.scalar(128.5)]);
  const rows = graph.op("Cast", [shifted], { to: DATA_TYPE.uint8 });

  const { quantized, scales } = quantize(weight);
  const zeroPoint = graph.constant(Uint8Array.of(128), [], "uint8");
  const sums = graph.op("MatMulInteger", [rows, graph.constant(quantized, dims, "int8"), zeroPoint]);
  const [whole, parts] = graph.split(graph.op("Cast", [sums], { to: DATA_TYPE.float32 }), 1);
  const joined = graph.op("Add", [whole, graph.op("Mul", [parts, graph.scalar(1 / FINE)])]);
  const columnScale = graph.constant(scales, [blocks, 1, outer], "float32");
  return graph.op("Mul", [graph.op("Mul", [joined, columnScale]), rowScale]);
}

/** Rows that are transposed together, so that what is read stays in cache until all of it is used. */
const TILE = 32;

interface Tile {
  readonly block: number;
  /** First output of the tile within its block. */
  readonly output: number;
  readonly outputs: number;
  /** Index in the weight of the tile's first value. */
  readonly from: number;
}

function* tiles(weight: Blocks): Generator<Tile> {
  const { inner, outer } = blockShape(weight);
  for (let block = 0; block < weight.blocks; block++) {
    const start = block * (weight.cut === "output" ? outer * weight.cols : inner);
    for (let output = 0; output < outer; output += TILE) {
      yield { block, output, outputs: Math.min(TILE, outer - output), from: start + output * weight.cols };
    }
  }
}

/** The weight as `[blocks, inner, outer]`. */
function transposed(blocks: Blocks): Float32Array {
  const { weight, cols } = blocks;
  const { inner, outer } = blockShape(blocks);
  const values = new Float32Array(weight.length);
  for (const { block, output, outputs, from } of tiles(blocks)) {
    for (let i = 0; i < inner; i++) {
      const to = (block * inner + i) * outer + output;
      for (let o = 0; o < outputs; o++) values[to + o] = weight[from + o * cols + i] as number;
    }
  }
  return values;
}

/** The weight as int8 `[blocks, inner, outer]`, symmetric per column of a block: `value = scale * quantized`, scales `[blocks, outer]`. */
function quantize(blocks: Blocks): { quantized: Int8Array; scales: Float32Array } {
  const { weight, cols } = blocks;
  const { inner, outer } = blockShape(blocks);
  const quantized = new Int8Array(weight.length);
  const scales = new Float32Array(blocks.blocks * outer);
  const inverse = new Float64Array(TILE);
  for (const { block, output, outputs, from } of tiles(blocks)) {
    for (let o = 0; o < outputs; o++) {
      let largest = 0;
      for (let i = from + o * cols; i < from + o * cols + inner; i++) {
        const size = Math.abs(weight[i] as number);
        if (size > largest) largest = size;
      }
      scales[block * outer + output + o] = largest / 127;
      inverse[o] = largest === 0 ? 0 : 127 / largest;
    }
    for (let i = 0; i < inner; i++) {
      const to = (block * inner + i) * outer + output;
      for (let o = 0; o < outputs; o++) {
        // Rounds half up: what is cut off is positive.
        quantized[to + o] = (((weight[from + o * cols + i] as number) * (inverse[o] as number) + 128.5) | 0) - 128;
      }
    }
  }
  return { quantized, scales };
}
