import { expect, it } from "vitest";
import { maskLowest, parsePattern, weightScores } from "../../../compress/prune/masks.ts";
import { randomMatrix } from "../random.ts";

const matrix = randomMatrix(6, 64, 5);

it.each([
  ["1:8", 8, 7],
  ["2:4", 4, 2],
  ["4:8", 8, 4],
] as const)("leaves at most N of every M: %s", (text, of, zeros) => {
  const { values } = maskLowest(matrix, weightScores(matrix, undefined), parsePattern(text), "w");
  for (let at = 0; at < values.length; at += of) {
    const part = values.subarray(at, at + of);
    expect(part.filter((value) => value === 0)).toHaveLength(zeros);
    const least = Math.min(...part.filter((value) => value !== 0).map(Math.abs));
    const gone = matrix.values.subarray(at, at + of).filter((_, i) => part[i] === 0);
    expect(Math.max(...gone.map(Math.abs))).toBeLessThanOrEqual(least);
  }
});

it("weighs a weight with the norm of its input, within its row", () => {
  const squares = Float64Array.from({ length: 64 }, (_, col) => (col < 32 ? 1e6 : 1e-6));
  const { values } = maskLowest(matrix, weightScores(matrix, squares), { sparsity: 0.5 }, "w");
  for (let row = 0; row < 6; row++) {
    expect(values.subarray(row * 64, row * 64 + 32)).toEqual(matrix.values.subarray(row * 64, row * 64 + 32));
    expect(values.subarray(row * 64 + 32, row * 64 + 64).every((value) => value === 0)).toBe(true);
  }
});

it("refuses patterns that mean nothing, or do not divide", () => {
  for (const text of ["4:4", "0:4", "5:4", "2:", "1.5", "0", "many"])
    expect(() => parsePattern(text)).toThrow(`--pattern ${text}`);
  expect(() => maskLowest(matrix, weightScores(matrix, undefined), parsePattern("2:5"), "blk.0.attn_q.weight")).toThrow(
    "blk.0.attn_q.weight has 64 columns, which 5 does not divide",
  );
});
