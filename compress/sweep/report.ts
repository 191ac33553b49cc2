// What a sweep leaves: all scores as JSON, a table, and the plot of the frontier.
import { join } from "node:path";
import type { Metric } from "../../evaluation/index.ts";
import { put } from "../importance/report.ts";
import type { Candidate } from "./candidates.ts";
import { frontier } from "./frontier.ts";
import { plot } from "./plot.ts";
import type { Scores } from "./score.ts";

export interface Scored extends Candidate {
  readonly scores: Scores;
}

/** What a variant costs. */
export const COSTS = {
  bytes: { title: "weights read for a token, MB", of: ({ nominalBytes }: Scores) => nominalBytes / 1e6 },
  speed: { title: "milliseconds a token while decoding", of: ({ speed }: Scores) => 1000 / speed },
} as const;
export type Cost = keyof typeof COSTS;

/** What a variant loses. */
export const LOSSES = {
  perplexity: { title: "word perplexity on held-out articles", of: ({ perplexity }: Scores): Metric => perplexity },
  hellaswag: {
    title: "HellaSwag, share of wrong answers (acc_norm)",
    of: ({ accNorm: { value, stderr } }: Scores): Metric => ({ value: 1 - value, ...(stderr ? { stderr } : {}) }),
  },
} as const;
export type Loss = keyof typeof LOSSES;

export interface SweepReport {
  readonly scored: readonly Scored[];
  readonly cost: Cost;
  readonly loss: Loss;
  readonly items: number;
  readonly articles: number;
  readonly folder: string;
}

/** @returns the variants on the frontier, and the table */
export async function writeSweep(report: SweepReport): Promise<{ best: readonly Scored[]; table: string }> {
  const { scored, cost, loss, items, articles, folder } = report;
  const points = scored.map((one) => ({
    one,
    cost: COSTS[cost].of(one.scores),
    loss: LOSSES[loss].of(one.scores).value,
  }));
  const best = frontier(points).map(({ one }) => one);
  const subtitle = `${items} HellaSwag items, ${articles} held-out articles; bars are standard errors, full circles the frontier`;
  const table = tableOf(scored, new Set(best));
  const rows = scored.map(({ family, amount, artifact, scores }) => {
    const onFrontier = best.some((one) => one.artifact === artifact);
    return { id: artifact.recipe.id, family, amount, ...scores, onFrontier };
  });
  await put(join(folder, "sweep.json"), `${JSON.stringify({ cost, loss, items, articles, rows }, null, 2)}\n`, folder);
  await put(join(folder, "sweep.md"), `${table}\n\n${subtitle}\n`, folder);
  const picture = plot({
    title: "What each variant costs and loses",
    subtitle,
    cost: COSTS[cost].title,
    loss: `${LOSSES[loss].title}, logarithmic`,
    points: points.map(({ one, ...point }) => ({
      ...point,
      label: one.amount === 0 ? one.family : `${one.family} ${one.amount}`,
      family: one.family,
      stderr: LOSSES[loss].of(one.scores).stderr,
      onFrontier: best.includes(one),
    })),
  });
  await put(join(folder, "pareto.svg"), picture, folder);
  return { best, table };
}

function tableOf(scored: readonly Scored[], best: ReadonlySet<Scored>): string {
  const withError = ({ value, stderr }: Metric, scale: number, digits: number): string =>
    `${(value * scale).toFixed(digits)}${stderr === undefined ? "" : ` ± ${(stderr * scale).toFixed(digits)}`}`;
  const rows = scored.map((one) => {
    const { accNorm, perplexity, speed, nominalBytes, weightBytes, kvBytes } = one.scores;
    return [
      one.artifact.recipe.id,
      withError(accNorm, 100, 1),
      withError(perplexity, 1, 2),
      speed.toFixed(1),
      (nominalBytes / 1e6).toFixed(1),
      (weightBytes / 1e6).toFixed(1),
      (kvBytes / 1024).toFixed(1),
      best.has(one) ? "yes" : "",
    ];
  });
  const head = [
    "variant",
    "HellaSwag acc_norm, %",
    "word perplexity",
    "tokens/s",
    "MB a token",
    "MB as served",
    "KV KiB a token",
    "frontier",
  ];
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}
