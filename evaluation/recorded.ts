// Scores as files under scores/: measured on the served engine, committed, and compared with what the service measures of itself later,
// item by item. Not for the replica: it has no memory to spare for a validator.
import { z } from "zod";
import type { ItemResults } from "./compare.ts";
import { formatItems, parseItems } from "./items.ts";
import type { ItemResult, Metrics } from "./metrics.ts";

const digestSchema = z.string().min(1);
const valueSchema = z.union([z.number(), z.string(), z.array(z.number())]);

export const recordedScoreSchema = z.strictObject({
  variant: z.string(),
  task: z.string(),
  /** The command that measures it again. */
  command: z.string(),
  recorded: z.iso.datetime(),
  digests: z.strictObject({ variant: digestSchema, engine: digestSchema, data: digestSchema }),
  taskVersion: z.int(),
  /** Compute seconds of all items together. */
  seconds: z.number(),
  metrics: z.record(z.string(), z.strictObject({ value: z.number(), stderr: z.number().optional() })),
  count: z.int().positive(),
  /** Which items, as `parseItems` reads it. */
  items: z.string(),
  /** Names of the values of a row. */
  fields: z.array(z.string()).min(1),
  /** One per item, in order. Rounded; the metrics were computed before that. */
  rows: z.array(z.array(valueSchema)),
});

export interface RecordedScore
  extends Omit<z.infer<typeof recordedScoreSchema>, "items" | "fields" | "rows" | "metrics"> {
  readonly metrics: Metrics;
  readonly results: ItemResults;
}

/**
 * Reads a file under scores/.
 * @throws Error that says what is wrong with it
 */
export function parseRecordedScore(json: unknown): RecordedScore {
  const { items, fields, rows, metrics, ...score } = recordedScoreSchema.parse(json);
  const numbers = parseItems(items, Number.MAX_SAFE_INTEGER);
  if (numbers.length !== rows.length || rows.length !== score.count) {
    throw new Error(
      `${score.task} of ${score.variant}: ${rows.length} rows for ${numbers.length} items, count ${score.count}`,
    );
  }
  const short = rows.findIndex((row) => row.length !== fields.length);
  if (short >= 0)
    throw new Error(`${score.task} of ${score.variant}: row ${short} does not have ${fields.length} values`);
  const results = rows.map((row): ItemResult => Object.fromEntries(fields.map((field, i) => [field, row[i] ?? ""])));
  return {
    ...score,
    metrics: metrics as Metrics,
    results: new Map(numbers.map((item, i) => [item, results[i] as ItemResult])),
  };
}

/** The text of a file under scores/: one row a line, so that a change shows where it is. */
export function recordScore({ results, ...score }: RecordedScore): string {
  const ordered = [...results].sort(([a], [b]) => a - b);
  const fields = Object.keys(ordered[0]?.[1] ?? {});
  const rows = ordered.map(([, result]) => JSON.stringify(fields.map((field) => rounded(result[field]))));
  const head = JSON.stringify({ ...score, items: formatItems(ordered.map(([item]) => item)), fields }, null, 1);
  return `${head.slice(0, -2)},\n "rows": [\n${rows.join(",\n")}\n ]\n}\n`;
}

function rounded(value: ItemResult[string] | undefined): ItemResult[string] | undefined {
  if (typeof value === "number") return Number(value.toFixed(4));
  return typeof value === "object" ? value.map((entry) => Number(entry.toFixed(2))) : value;
}
