import { describe, expect, it, onTestFinished } from "vitest";
import { addMoments, createMomentSums } from "../../../compress/forward/moments.ts";
import { floats, openSession } from "../../../compress/forward/session.ts";
import { mulberry32 } from "../../../evaluation/random.ts";
import { createGraph } from "../../../src/engine/onnx/graph.ts";

// From one band of the Gram matrix to eight, of widths that are not the same.
describe.each([1, 100, 288, 400, 1537])("moments of inputs of %i columns", (cols) => {
  it.each([true, false])("are the sums over the rows of all chunks, with Gram matrices: %s", async (gram) => {
    const graph = createGraph();
    addMoments(graph, "x", graph.input("input", ["chunk", "rows", cols]), cols, gram);
    const session = await openSession(graph.build(), 1);
    onTestFinished(() => session.release());
    const random = mulberry32(cols);
    const chunks = [6, 4].map((rows) => Float32Array.from({ length: rows * cols }, () => random() - 0.5));
    const sums = createMomentSums<"x">({ gram });
    for (const values of chunks) {
      const rows = values.length / cols;
      sums.add("x", rows, await session.run({ input: floats(values, 2, rows / 2, cols) }));
    }
    const found = sums.moments().get("x");
    const all = chunks.flatMap((values) => Array.from(values));
    const sumOf = (of: (row: number) => number): number =>
      Array.from({ length: 10 }, (_, row) => of(row * cols)).reduce((a, b) => a + b);
    expect([found?.tokens, found?.cols, found?.gram?.length]).toEqual([10, cols, gram ? cols * cols : undefined]);
    let worst = 0;
    const check = (actual: number | undefined, expected: number): void => {
      worst = Math.max(worst, Math.abs((actual ?? Number.POSITIVE_INFINITY) - expected));
    };
    for (let i = 0; i < cols; i++) {
      const at = (row: number, column: number): number => all[row + column] as number;
      check(
        found?.sum[i],
        sumOf((row) => at(row, i)),
      );
      check(
        found?.squares[i],
        sumOf((row) => at(row, i) ** 2),
      );
      for (const j of gram ? [0, i, (7 * i) % cols, cols - 1] : []) {
        check(
          found?.gram?.[i * cols + j],
          sumOf((row) => at(row, i) * at(row, j)),
        );
      }
    }
    expect(worst).toBeLessThan(1e-5);
  });
});
