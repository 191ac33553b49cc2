import { expect, it } from "vitest";
import { cholesky, NotPositiveError } from "../../../compress/linalg/cholesky.ts";
import { multiply, partOf } from "../../../compress/linalg/products.ts";
import { correlatedInputs, gramOf, randomMatrix } from "../random.ts";

it.each([1, 63, 64, 65, 200])("gives a factor whose product is the matrix, of %i columns", async (n) => {
  const gram = Float64Array.from(gramOf(correlatedInputs(2 * n, n, n)));
  const values = await cholesky(Float64Array.from(gram), n);
  for (let row = 0; row < n; row++) for (let col = 0; col < row; col++) expect(values[row * n + col]).toBe(0);
  const factor = { rows: n, cols: n, values };
  const { values: product } = await multiply(factor, factor, { transposed: "a" });
  const worst = product.reduce((most, value, i) => Math.max(most, Math.abs(value - gram[i]!)), 0);
  expect(worst / Math.max(...gram)).toBeLessThan(1e-12);
});

it("refuses a matrix whose columns depend on each other", async () => {
  const gram = Float64Array.from(gramOf(randomMatrix(80, 100, 1)));
  await expect(cholesky(gram.fill(1), 100)).rejects.toThrow(NotPositiveError);
});

it("multiplies parts, transposed and not, and adds", async () => {
  const a = { rows: 2, cols: 3, values: Float64Array.of(1, 2, 3, 4, 5, 6) };
  expect((await multiply(a, a, { transposed: "b" })).values).toEqual(Float64Array.of(14, 32, 32, 77));
  const plus = new Float64Array(9).fill(1);
  const square = await multiply(a, a, { transposed: "a", plus });
  expect(square).toEqual({ rows: 3, cols: 3, values: Float64Array.of(18, 23, 28, 23, 30, 37, 28, 37, 46) });
  expect(partOf(square, 1, 3, 0, 2)).toEqual({ rows: 2, cols: 2, values: Float64Array.of(23, 30, 28, 37) });
  expect((await multiply(partOf(a, 0, 2, 0, 2), a)).values).toEqual(Float64Array.of(9, 12, 15, 24, 33, 42));
});
