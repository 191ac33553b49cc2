// Round-to-nearest: each weight goes to its block's nearest value, whatever the inputs are. The baseline of every other method.
import type { Matrix } from "../../formats/checkpoint.ts";
import { emptyQuantized, findGrid, type GridOptions, type Quantized, roundTo } from "./grid.ts";

/** @param matrix `[rows, cols]`; of the last block of a row there may be less */
export function roundToNearest({ rows, cols, values }: Matrix, options: GridOptions): Quantized {
  const result = emptyQuantized(rows, cols, options);
  const groups = Math.ceil(cols / options.block);
  for (let row = 0; row < rows; row++) {
    for (let group = 0; group < groups; group++) {
      const start = row * cols + group * options.block;
      const count = Math.min(options.block, cols - group * options.block);
      const grid = findGrid(values, start, count, options);
      result.scales[row * groups + group] = grid.scale;
      result.offsets[row * groups + group] = grid.offset;
      for (let i = start; i < start + count; i++) result.codes[i] = roundTo(grid, values[i] as number);
    }
  }
  return result;
}
