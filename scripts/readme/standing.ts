// What is recorded of the variants that are meant for use, on items that all of them were measured
// on.

import {
  aggregate,
  type ItemResult,
  type Metric,
  type RecordedScore,
  TASKS,
  type Task,
} from "../../evaluation/index.ts";
import { costsOf, stepTime } from "../../src/routing/index.ts";
import type { Catalogue, Status, Variant } from "../../src/variants/index.ts";
import { variantDigest } from "../../src/variants/index.ts";

/** A metric of a task that the tables and pictures show. */
export interface Column {
  readonly task: string;
  readonly metric: string;
  readonly title: string;
  /** What an item is, several of them. */
  readonly items: string;
  /** A number as the table writes it. */
  write(value: number): string;
}

const percent = (value: number): string => (100 * value).toFixed(1);

export const COLUMNS: readonly Column[] = [
  { task: "hellaswag", metric: "acc_norm", title: "HellaSwag acc_norm, %", items: "items", write: percent },
  {
    task: "wikitext",
    metric: "word_perplexity",
    title: "WikiText-2 word perplexity",
    items: "pages",
    write: (value) => value.toFixed(1),
  },
  { task: "chat-agreement", metric: "agreement", title: "chat top-1 agreement, %", items: "chats", write: percent },
  {
    task: "chat-agreement",
    metric: "kl",
    title: "chat KL, nats a token",
    items: "chats",
    write: (value) => value.toFixed(3),
  },
  { task: "chat-answers", metric: "ends", title: "answers that end, %", items: "answers", write: percent },
  { task: "chat-answers", metric: "repeats", title: "answers that repeat, %", items: "answers", write: percent },
];

/** Tokens of context beside which decode times stand. */
export const CONTEXTS = [32, 1024] as const;

export interface Standing {
  readonly variant: Variant;
  readonly status: Status;
  /**
   * Milliseconds of a generated token on the reference machine, by the router's costs, for each of
   * `CONTEXTS`.
   */
  readonly decodeMs: readonly number[];
  /** One of each of `COLUMNS`; undefined: not recorded. */
  readonly metrics: readonly (Metric | undefined)[];
}

export interface Standings {
  /** The base first, without variants of the status `research`. */
  readonly rows: readonly Standing[];
  /** Items that the figures of each of `COLUMNS` are of. */
  readonly counts: readonly number[];
}

/** @param recorded scores of variants by what these compute */
export function standingsOf(
  catalogue: Catalogue,
  recorded: readonly RecordedScore[],
  status: ReadonlyMap<string, Status>,
): Standings {
  const meant = [...catalogue.values()].filter(({ recipe }) => status.get(recipe.id) !== "research");
  const digests = meant.map(({ plan }) => variantDigest(plan));
  // Of two that compute the same, the first.
  const variants = meant.filter((_, i) => digests.indexOf(digests[i] as string) === i);
  const scoreOf = ({ plan }: Variant, task: string): RecordedScore | undefined =>
    recorded.find((score) => score.task === task && score.digests.variant === variantDigest(plan));
  const shared = COLUMNS.map(({ task }) => {
    const [first, ...others] = variants.flatMap((variant) => scoreOf(variant, task) ?? []);
    return [...(first?.results.keys() ?? [])].filter((item) => others.every(({ results }) => results.has(item)));
  });
  const metricOf = (variant: Variant, { task, metric }: Column, items: readonly number[]): Metric | undefined => {
    const results = scoreOf(variant, task)?.results;
    if (!results || items.length === 0) return undefined;
    const rules = (TASKS.get(task) as Task).metrics.filter(({ name }) => name === metric);
    return aggregate(
      items.map((item) => results.get(item) as ItemResult),
      rules,
    )[metric];
  };
  return {
    counts: shared.map(({ length }) => length),
    rows: variants.map((variant) => ({
      variant,
      status: status.get(variant.recipe.id) as Status,
      decodeMs: CONTEXTS.map((context) => stepTime(costsOf(variant.plan), context)),
      metrics: COLUMNS.map((column, i) => metricOf(variant, column, shared[i] ?? [])),
    })),
  };
}

const SHORT = ["acc_norm", "word_perplexity"].map((metric) => COLUMNS.findIndex((column) => column.metric === metric));

/** The standings in short, for README: how much is computed, how long it takes, how good it is. */
export function rungsTable({ rows }: Standings): string {
  return [
    "| variant | attention + MLP sublayers | decode, ms a token | HellaSwag, % | WikiText-2 word perplexity | status |",
    "|---|---|---|---|---|---|",
    ...rows.map(({ variant: { recipe, plan }, decodeMs, metrics, status }) => {
      const sublayers = `${plan.kvSlots} + ${plan.slots.filter(({ mlp }) => mlp).length}`;
      const scores = SHORT.map((place) => cell(metrics[place], COLUMNS[place] as Column));
      return `| \`${recipe.id}\` | ${[sublayers, decodeMs[0]?.toFixed(1), ...scores, status].join(" | ")} |`;
    }),
  ].join("\n");
}

const cell = (metric: Metric | undefined, { write }: Column): string =>
  metric ? [metric.value, ...(metric.stderr === undefined ? [] : [metric.stderr])].map(write).join(" ± ") : "–";

/** The standings as a table of Markdown, without columns of which nothing is recorded. */
export function standingsTable({ rows, counts }: Standings): string {
  const shown = COLUMNS.flatMap((column, place) => (counts[place] ? [{ column, place }] : []));
  const titles = shown.map(
    ({ column: { title, items }, place }) => `${title} (${counts[place]?.toLocaleString("en")} ${items})`,
  );
  const decode = `decode, ms a token after ${CONTEXTS.map((context) => context.toLocaleString("en")).join(" / ")}`;
  return [
    `| variant | ${[decode, ...titles].join(" | ")} |`,
    `|${"---|".repeat(titles.length + 2)}`,
    ...rows.map(({ variant, decodeMs, metrics }) => {
      const figures = shown.map(({ column, place }) => cell(metrics[place], column));
      const times = decodeMs.map((ms) => ms.toFixed(1)).join(" / ");
      return `| \`${variant.recipe.id}\` | ${[times, ...figures].join(" | ")} |`;
    }),
  ].join("\n");
}
