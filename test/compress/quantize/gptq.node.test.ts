import { inverse, Matrix as MlMatrix } from "ml-matrix";
import { describe, expect, it } from "vitest";
import { factorInput, gptq } from "../../../compress/quantize/gptq.ts";
import { dequantize, findGrid, type GridOptions, roundTo } from "../../../compress/quantize/grid.ts";
import { roundToNearest } from "../../../compress/quantize/rtn.ts";
import type { Matrix } from "../../../formats/checkpoint.ts";
import { correlatedInputs, gramOf, outputError, randomMatrix } from "../random.ts";

const [ROWS, COLS] = [24, 192];
const weights = randomMatrix(ROWS, COLS, 1);
const gram = gramOf(correlatedInputs(400, COLS, 2));
const kinds = [
  { bits: 4, kind: "symmetric", block: 64 },
  { bits: 4, kind: "asymmetric", block: 32 },
  { bits: 3, kind: "asymmetric", block: 64 },
  { bits: 2, kind: "integer-zero", block: 32 },
  { bits: 8, kind: "symmetric", block: 32 },
] as const satisfies GridOptions[];

/** Optimal Brain Quantization with a fixed order, straight from its equations: after each column the inverse Hessian loses it (eq. 3). */
function plain({ rows, cols, values }: Matrix, options: GridOptions): Float32Array {
  const mean = Array.from({ length: cols }, (_, i) => gram[i * cols + i] as number).reduce((a, b) => a + b) / cols;
  const hessian = MlMatrix.from1DArray(cols, cols, gram).add(MlMatrix.eye(cols).mul(0.01 * mean));
  const inv = inverse(hessian).to2DArray();
  const work = Float32Array.from(values);
  const out = new Float32Array(rows * cols);
  const grids = Array.from({ length: rows }, () => ({ scale: 0, offset: 0, most: 0 }));
  for (let i = 0; i < cols; i++) {
    for (let row = 0; row < rows; row++) {
      if (i % options.block === 0) grids[row] = findGrid(work, row * cols + i, options.block, options);
      const grid = grids[row] as (typeof grids)[number];
      const at = row * cols + i;
      out[at] = grid.scale * roundTo(grid, work[at] as number) + grid.offset;
      const error = ((work[at] as number) - (out[at] as number)) / (inv[i]?.[i] as number);
      for (let j = i + 1; j < cols; j++) (work[row * cols + j] as number) -= error * (inv[i]?.[j] as number);
    }
    const pivot = [...(inv[i] as number[])];
    for (let a = i + 1; a < cols; a++) {
      const row = inv[a] as number[];
      const factor = (row[i] as number) / (pivot[i] as number);
      for (let b = i; b < cols; b++) (row[b] as number) -= factor * (pivot[b] as number);
    }
  }
  return out;
}

describe.each(kinds)("GPTQ at $bits bits, $kind, block $block", (options) => {
  it("gives outputs that are nearer than round-to-nearest's", async () => {
    const error = (quantized: Float32Array) => outputError(weights.values, quantized, ROWS, COLS, gram);
    const rounded = error(dequantize(roundToNearest(weights, options)));
    const plainOrder = error(dequantize(await gptq(weights, await factorInput(gram, COLS), options)));
    const ordered = { ...options, actOrder: true };
    const actOrder = error(dequantize(await gptq(weights, await factorInput(gram, COLS, ordered), ordered)));
    expect(plainOrder).toBeLessThan(0.75 * rounded);
    expect(actOrder).toBeLessThan(0.75 * rounded);
  });

  it("is what the equations give without batches and without Cholesky", async () => {
    const got = dequantize(await gptq(weights, await factorInput(gram, COLS), options));
    const wanted = plain(weights, options);
    // A value right between two codes may go either way, and the rest of its row with it.
    const rowsApart = Array.from({ length: ROWS }, (_, row) => row).filter((row) =>
      got.subarray(row * COLS, row * COLS + COLS).some((value, i) => value !== wanted[row * COLS + i]),
    );
    expect(rowsApart.length).toBeLessThanOrEqual(options.bits === 8 ? 8 : 2);
    const errors = [got, wanted].map((values) => outputError(weights.values, values, ROWS, COLS, gram));
    expect(Math.abs((errors[0] as number) / (errors[1] as number) - 1)).toBeLessThan(0.02);
  });

  it("gives the same codes each time", async () => {
    const once = async () => gptq(weights, await factorInput(gram, COLS), options);
    expect(await once()).toEqual(await once());
  });
});

it("rounds the weights of an input that is always 0 alone", async () => {
  const dead = Float32Array.from(gram);
  for (let i = 0; i < COLS; i++) dead[5 * COLS + i] = dead[i * COLS + 5] = 0;
  const options = { bits: 4, kind: "asymmetric", block: 32 } as const;
  const quantized = await gptq(weights, await factorInput(dead, COLS), options);
  expect(quantized.codes.every((code) => code <= 15)).toBe(true);
  expect(quantized.scales.every(Number.isFinite)).toBe(true);
});
