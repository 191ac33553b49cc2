import { describe, expect, it } from "vitest";
import { formatItems, parseItems, sampleOf } from "../../evaluation/items.ts";
import { parseRecordedScore, type RecordedScore, recordScore } from "../../evaluation/recorded.ts";

describe("item ranges", () => {
  it.each([
    ["7", [7]],
    ["0-3", [0, 1, 2, 3]],
    ["3-29:10", [3, 13, 23]],
    ["5, 1-2,2", [1, 2, 5]],
  ])("%s is %j", (text, numbers) => expect(parseItems(text, 30)).toEqual(numbers));

  it.each(["", "a", "3-", "5-2", "1-5:0", "1--2", "0-30"])("refuses %j", (text) => {
    expect(() => parseItems(text, 30)).toThrow(RangeError);
  });

  it.each([
    [[7]],
    [[0, 1, 2, 9]],
    [[3, 13, 23, 24, 25]],
    [[]],
    [[1, 5]],
  ])("writes %j so that it reads back", (numbers) => {
    if (numbers.length > 0) expect(parseItems(formatItems(numbers), 30)).toEqual(numbers);
    else expect(formatItems(numbers)).toBe("");
  });

  it("the sample is every tenth item from 3, at most 1,000", () => {
    const sample = sampleOf(10_042);
    expect([sample.length, sample[0], sample[1], sample.at(-1)]).toEqual([1000, 3, 13, 9993]);
    expect(formatItems(sample)).toBe("3-9993:10");
    expect(sampleOf(13)).toEqual([3]);
    expect(sampleOf(2)).toEqual([]);
  });
});

describe("a recorded score", () => {
  const score: RecordedScore = {
    variant: "v",
    task: "hellaswag",
    command: "npm run eval -- --variant v --task hellaswag --items 3-13:10",
    recorded: "2026-01-02T03:04:05.678Z",
    digests: { variant: "a", engine: "b", data: "c" },
    taskVersion: 1,
    seconds: 1.5,
    metrics: { acc: { value: 0.5, stderr: 0.5 } },
    count: 2,
    results: new Map([
      [13, { acc: 1, choice: 2, logLikelihoods: [-1.23456, -2] }],
      [3, { acc: 0, choice: 1, logLikelihoods: [-3.999, -4.001] }],
    ]),
  };

  it("reads back, with its numbers rounded, items in order and one line an item", () => {
    const text = recordScore(score);
    expect(text).toContain("\n[0,1,[-4,-4]],\n[1,2,[-1.23,-2]]\n");
    const { results, ...rest } = parseRecordedScore(JSON.parse(text));
    const { results: _, ...expected } = score;
    expect(rest).toEqual(expected);
    expect([...results]).toEqual([
      [3, { acc: 0, choice: 1, logLikelihoods: [-4, -4] }],
      [13, { acc: 1, choice: 2, logLikelihoods: [-1.23, -2] }],
    ]);
  });

  it.each([
    ["rows and items that do not match", { items: "3" }],
    ["an unknown field", { more: 1 }],
    ["a row that is short", { fields: ["acc", "choice", "logLikelihoods", "text"] }],
    ["a metric without a value", { metrics: { acc: {} } }],
  ])("with %s is refused", (_, change) => {
    expect(() => parseRecordedScore({ ...JSON.parse(recordScore(score)), ...change })).toThrow();
  });
});
