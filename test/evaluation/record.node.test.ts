import { expect, it } from "vitest";
import type { RecordedScore } from "../../evaluation/index.ts";
import { withEarlier } from "../../evaluation/offline/record.ts";

const score = (results: readonly (readonly [item: number, right: number])[], engine = "e"): RecordedScore => ({
  variant: "v",
  task: "hellaswag",
  taskVersion: 1,
  recorded: "2026-01-01T00:00:00.000Z",
  command: "npm run eval -- --variant v --task hellaswag --limit 2",
  seconds: 10,
  count: results.length,
  digests: { variant: "a", engine, data: "b" },
  metrics: { acc: { value: 9 } },
  results: new Map(results.map(([item, acc]) => [item, { acc, acc_norm: 1 }])),
});

it("a recorded score gets the items of an earlier one that it lacks, with the metrics of all", () => {
  const early = score([
    [0, 0],
    [4, 0],
    [9, 0],
    [10, 0],
  ]);
  const merged = withEarlier(
    score([
      [0, 1],
      [5, 1],
    ]),
    early,
  );
  expect([...merged.results].map(([item, { acc }]) => [item, acc])).toEqual([
    [0, 1],
    [4, 0],
    [5, 1],
    [9, 0],
    [10, 0],
  ]);
  expect(merged).toMatchObject({ count: 5, seconds: 17.5, metrics: { acc: { value: 0.4 }, acc_norm: { value: 1 } } });
  expect(merged.command).toBe("npm run eval -- --variant v --task hellaswag --items 0-4:4,5-9:4,10");
});

it("a recorded score stays as it is beside one of another engine, or one that adds nothing", () => {
  const own = score([[0, 1]]);
  expect(withEarlier(own, score([[3, 0]], "other"))).toBe(own);
  expect(withEarlier(own, score([[0, 0]]))).toBe(own);
});
