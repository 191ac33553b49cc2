import { describe, expect, it } from "vitest";
import { compare } from "../../evaluation/compare.ts";
import { aggregate, type ItemResult, type MetricRule } from "../../evaluation/metrics.ts";
import { mulberry32 } from "../../evaluation/random.ts";
import { hellaswag } from "../../evaluation/tasks/hellaswag.ts";
import { perTextMetrics } from "../../evaluation/tasks/text.ts";
import { createQualityBook } from "../../src/routing/quality.ts";

const accuracy: MetricRule = { name: "acc", kind: "mean", of: "acc", higherIsBetter: true };
const [wordPerplexity] = perTextMetrics as [MetricRule];
const pages = [
  { logLikelihood: -30, words: 10, bytes: 50 },
  { logLikelihood: -50, words: 12, bytes: 70 },
  { logLikelihood: -12, words: 5, bytes: 20 },
];

describe("metrics", () => {
  it("of zeros and ones are means with the sample's standard error", () => {
    const results = [1, 0, 0, 1, 1].map((acc) => ({ acc, acc_norm: 0 }));
    const { acc, acc_norm } = aggregate(results, hellaswag.metrics);
    expect(acc?.value).toBe(0.6);
    // Variance 0.3 with n - 1, over 5 items.
    expect(acc?.stderr).toBeCloseTo(Math.sqrt(0.3 / 5), 12);
    expect(acc_norm).toEqual({ value: 0, stderr: 0 });
  });

  it("of texts weigh each text by its words or bytes", () => {
    const metrics = aggregate(pages, perTextMetrics);
    expect(metrics.word_perplexity?.value).toBeCloseTo(Math.exp(92 / 27), 10);
    expect(metrics.byte_perplexity?.value).toBeCloseTo(Math.exp(92 / 140), 10);
    expect(metrics.bits_per_byte?.value).toBeCloseTo(92 / 140 / Math.LN2, 10);
  });

  it("of two counts weigh each item by the second", () => {
    const rule: MetricRule = { name: "share", kind: "ratio", of: "some", over: "all", higherIsBetter: true };
    const results = [
      { some: 1, all: 1 },
      { some: 10, all: 40 },
      { some: 9, all: 9 },
    ];
    const { share } = aggregate(results, [rule]);
    expect(share?.value).toBe(0.4);
    expect(share?.stderr).toBeGreaterThan(0.1);
  });

  it("have the bootstrap's error where no formula gives one: near that of the delta method, and each time the same", () => {
    const texts = Array.from({ length: 200 }, (_, i) => ({
      logLikelihood: -100 - ((i * 37) % 41),
      words: 40,
      bytes: 1,
    }));
    const { value, stderr } = aggregate(texts, [wordPerplexity]).word_perplexity!;
    // All texts have 40 words, so the exponent is a mean: its error times the derivative, which is the value itself.
    const exponents = texts.map(({ logLikelihood }) => -logLikelihood / 40);
    const mean = exponents.reduce((sum, x) => sum + x) / 200;
    const deviation = Math.sqrt(exponents.reduce((sum, x) => sum + (x - mean) ** 2, 0) / 199);
    expect(stderr! / ((value * deviation) / Math.sqrt(200))).toBeGreaterThan(0.9);
    expect(stderr! / ((value * deviation) / Math.sqrt(200))).toBeLessThan(1.1);
    expect(aggregate(texts, [wordPerplexity]).word_perplexity).toEqual({ value, stderr });
  });

  it("of a single item have no error", () => {
    expect(aggregate([{ acc: 1 }], [accuracy])).toEqual({ acc: { value: 1 } });
  });

  it("name the number that a result lacks", () => {
    expect(() => aggregate([{ other: 1 }], [accuracy])).toThrow("lacks the number acc");
  });
});

describe("a comparison", () => {
  const results = (values: readonly number[], from = 0): Map<number, ItemResult> =>
    new Map(values.map((acc, i) => [from + i, { acc }]));

  it("pairs the items that both have", () => {
    const comparison = compare(results([1, 1, 0, 0, 1, 1]), results([1, 0, 1, 0, 0, 1, 1], 1), accuracy);
    // Items 1 to 5: first 1 0 0 1 1, second 1 0 1 0 0.
    expect(comparison).toMatchObject({ items: 5, first: 0.6, second: 0.4 });
    expect(comparison.difference).toBeCloseTo(-0.2, 12);
  });

  it("knows a difference better than two scores apart do", () => {
    const hard = Array.from({ length: 300 }, (_, i) => Number((i * 7919) % 10 < 4));
    const flipped = hard.map((value, i) => (i % 30 === 0 ? 1 - value : value));
    const { stderr } = compare(results(hard), results(flipped), accuracy);
    const differences = hard.map((value, i) => flipped[i]! - value);
    const mean = differences.reduce((a, b) => a + b) / 300;
    const exact = Math.sqrt(differences.reduce((sum, d) => sum + (d - mean) ** 2, 0) / 299 / 300);
    expect(stderr / exact).toBeGreaterThan(0.9);
    expect(stderr / exact).toBeLessThan(1.1);
    expect(stderr).toBeLessThan(0.5 * Math.sqrt((2 * 0.24) / 300));
  });

  it("of perplexities is a difference of perplexities", () => {
    const first = new Map(pages.map((page, i) => [i, page]));
    const second = new Map(pages.map((page, i) => [i, { ...page, logLikelihood: page.logLikelihood - 1 }]));
    const comparison = compare(first, second, wordPerplexity);
    expect(comparison.difference).toBeCloseTo(Math.exp(95 / 27) - Math.exp(92 / 27), 10);
  });

  it("agrees with the router's closed forms", () => {
    const random = mulberry32(7);
    const pages = Array.from({ length: 400 }, () => 20 + Math.floor(random() * 400));
    const draw = (right: number, nats: number) =>
      pages.map((words) => ({ acc: Number(random() < right), words, logLikelihood: -words * (nats + random()) }));
    const [worse, better] = [draw(0.4, 3.1), draw(0.5, 3)];
    const results = (items: typeof worse) => new Map(items.map((item, i) => [i, item]));
    const recorded = (variant: string, items: typeof worse) => ({
      variant,
      hellaswag: new Map(items.map(({ acc }, i) => [i, acc === 1])),
      pages: results(items),
    });
    const book = createQualityBook([recorded("worse", worse), recorded("better", better)], "worse");
    const nats: MetricRule = { name: "nats", kind: "ratio", of: "logLikelihood", over: "words", higherIsBetter: true };
    for (const [rule, measure, unit] of [
      [accuracy, "hellaswag", 100],
      [nats, "perplexity", 1],
    ] as const) {
      const ours = compare(results(worse), results(better), rule);
      const routers = book.compare("better", "worse", measure)!;
      expect(unit * ours.difference).toBeCloseTo(routers.difference, 9);
      expect((unit * ours.stderr) / routers.se).toBeGreaterThan(0.9);
      expect((unit * ours.stderr) / routers.se).toBeLessThan(1.1);
    }
  });

  it("needs items", () => {
    expect(() => compare(results([1]), results([1], 5), accuracy)).toThrow("0 items");
  });
});
