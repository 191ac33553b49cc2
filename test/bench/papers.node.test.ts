import { describe, expect, it } from "vitest";
import { PAPERS } from "../../bench/papers/index.ts";
import { sliceOf } from "../../bench/papers/measure.ts";
import { BASE, digits, type Paper, percent } from "../../bench/papers/paper.ts";
import { type Results, readResults } from "../../bench/papers/results.ts";
import { cellsOf, papersPage } from "../../bench/papers/tables.ts";
import { type ItemResult, TASKS } from "../../evaluation/index.ts";

const planOf = (await readResults()).planOf;

describe.each([...PAPERS.values()])("the table of $id", (paper) => {
  it("asks for metrics that tasks have", () => {
    for (const column of paper.columns) {
      if (column.kind === "cost") continue;
      const metrics = TASKS.get(column.task)?.metrics.map(({ name }) => name);
      expect(metrics, column.id).toContain(column.metric);
    }
  });

  it("has the papers' figures in rows and columns of its own", () => {
    const ids = paper.columns.map(({ id }) => id);
    const labels = paper.rows.map(({ label }) => label);
    expect(new Set(labels).size).toBe(labels.length);
    for (const { rows, unpruned } of paper.references) {
      expect(labels).toEqual(expect.arrayContaining(Object.keys(rows)));
      for (const figures of [unpruned, ...Object.values(rows)]) {
        expect(ids).toEqual(expect.arrayContaining(Object.keys(figures)));
      }
    }
  });

  it("has the base first, and every variant ships or is made last by a command of its own", () => {
    expect(paper.rows[0]?.variant).toBe(BASE);
    for (const { variant, make } of paper.rows) {
      const last = make?.at(-1);
      if (last) expect(last.slice(-2)).toEqual(["--id", variant]);
      else if (!variant.endsWith("-lora")) expect(planOf(variant), variant).toBeDefined();
    }
  });
});

describe("a made-up table", () => {
  const paper: Paper = {
    id: "p",
    title: "P",
    source: "s",
    about: "a",
    columns: [
      {
        id: "ppl",
        title: "ppl",
        write: digits(2),
        kind: "score",
        task: "wikitext-512",
        metric: "token_perplexity",
        items: "0-9",
      },
      { id: "time", title: "ms", write: digits(1), kind: "cost", of: ({ costs }) => costs.kvBytes },
      { id: "acc", title: "acc", write: percent, kind: "score", task: "hellaswag", metric: "acc", items: "0-9" },
    ],
    rows: [
      { label: "base", variant: BASE },
      { label: "half", variant: "half" },
    ],
    references: [{ model: "M", ratios: ["time"], unpruned: { ppl: 20 }, rows: { half: { ppl: 30, time: 2 } } }],
  };
  const score = (...items: (readonly [item: number, result: ItemResult])[]) => ({ results: new Map(items) });
  const window = (perplexity: number): ItemResult => ({ logLikelihood: -10 * Math.log(perplexity), tokens: 10 });
  const scores = new Map([
    [`${BASE} wikitext-512`, score([0, window(10)], [1, window(10)], [2, window(1000)], [3, window(10)])],
    ["half wikitext-512", score([0, window(20)], [1, window(20)], [7, window(999)])],
  ]);
  const results: Results = {
    planOf: (variant) => planOf(variant === "half" ? `${BASE}-attn-drop-15` : variant),
    scoreOf: (variant, task) => scores.get(`${variant} ${task}`),
  };

  it("has ratios to the unpruned model on the items that both have, beside the paper's, and no empty column", () => {
    expect(cellsOf(paper, results)).toEqual([
      ["", "ppl", "ppl: M", "ms", "ms: M"],
      ["base", expect.stringMatching(/^31\.62 ± [\d.]+ \(1\.00 x\), n 4$/), "20.00 (1.00 x)", "23040.0 (1.00 x)", "–"],
      [
        "half",
        expect.stringMatching(/^20\.00 ± 0\.00 \(2\.00 x\), n 2$/),
        "30.00 (1.50 x)",
        "11520.0 (0.50 x)",
        "2.00 x",
      ],
    ]);
    expect(papersPage([paper], results)).toContain("| half | 20.00 ± 0.00 (2.00 x), n 2 | 30.00 (1.50 x) |");
  });

  it("is measured on a spread slice of its items", () => {
    expect(sliceOf("3-43:10", undefined)).toEqual([3, 13, 23, 33, 43]);
    expect(sliceOf("3-43:10", 9)).toEqual([3, 13, 23, 33, 43]);
    expect(sliceOf("3-43:10", 2)).toEqual([3, 23]);
  });
});
