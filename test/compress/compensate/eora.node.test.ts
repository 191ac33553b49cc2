import { Matrix as MlMatrix, SingularValueDecomposition } from "ml-matrix";
import { expect, it } from "vitest";
import { eora, inputRoot } from "../../../compress/compensate/eora.ts";
import { dequantize } from "../../../compress/quantize/grid.ts";
import { roundToNearest } from "../../../compress/quantize/rtn.ts";
import { correlatedInputs, gramOf, outputError, randomMatrix } from "../random.ts";

const [ROWS, COLS] = [48, 96];
const weights = randomMatrix(ROWS, COLS, 1);
const quantized = dequantize(roundToNearest(weights, { bits: 3, kind: "asymmetric", block: 32 }));
const residual = { rows: ROWS, cols: COLS, values: weights.values.map((value, i) => value - (quantized[i] as number)) };
const gram = gramOf(correlatedInputs(400, COLS, 2));

const corrected = (rank: number, a: Float32Array, b: Float32Array): Float32Array => {
  const product = MlMatrix.from1DArray(ROWS, rank, b).mmul(MlMatrix.from1DArray(rank, COLS, a));
  return quantized.map((value, i) => value + (product.to1DArray()[i] as number));
};

it.each([1, 8, 32])("reaches the optimum that a full SVD in the inputs' eigenspace gives, rank %i", async (rank) => {
  const root = await inputRoot(gram, COLS);
  const upper = MlMatrix.from1DArray(COLS, COLS, root);
  const { diagonal } = new SingularValueDecomposition(
    MlMatrix.from1DArray(ROWS, COLS, residual.values).mmul(upper.transpose()),
    { autoTranspose: true },
  );
  const optimum = diagonal.slice(rank).reduce((sum, value) => sum + value * value, 0);
  const { a, b } = await eora(residual, root, rank, 7);
  const damped = upper.transpose().mmul(upper);
  const dampedGram = Float32Array.from(damped.to1DArray());
  const got = outputError(weights.values, corrected(rank, a, b), ROWS, COLS, dampedGram);
  expect(got / optimum).toBeGreaterThan(0.999);
  expect(got / optimum).toBeLessThan(1.005);
});

it("restores the outputs better than the residual's own SVD", async () => {
  const rank = 8;
  const svd = new SingularValueDecomposition(MlMatrix.from1DArray(ROWS, COLS, residual.values), {
    autoTranspose: true,
  });
  const u = svd.leftSingularVectors
    .subMatrix(0, ROWS - 1, 0, rank - 1)
    .mmul(MlMatrix.diag(svd.diagonal.slice(0, rank)));
  const v = svd.rightSingularVectors.subMatrix(0, COLS - 1, 0, rank - 1).transpose();
  const plain = corrected(rank, Float32Array.from(v.to1DArray()), Float32Array.from(u.to1DArray()));
  const { a, b } = await eora(residual, await inputRoot(gram, COLS), rank, 7);
  const error = (values: Float32Array) => outputError(weights.values, values, ROWS, COLS, gram);
  expect(error(corrected(rank, a, b))).toBeLessThan(0.9 * error(plain));
});

it("gives the same bytes for the same seed", async () => {
  const root = await inputRoot(gram, COLS);
  expect(await eora(residual, root, 4, 3)).toEqual(await eora(residual, root, 4, 3));
});

it("restores a residual of lower rank than is asked for", async () => {
  const values = residual.values.map((value, i) => (Math.floor(i / COLS) === 5 ? value : 0));
  const { a, b } = await eora({ ...residual, values }, await inputRoot(gram, COLS), 4, 3);
  const product = MlMatrix.from1DArray(ROWS, 4, b)
    .mmul(MlMatrix.from1DArray(4, COLS, a))
    .to1DArray();
  for (const [i, value] of values.entries()) expect(product[i]).toBeCloseTo(value, 6);
});
