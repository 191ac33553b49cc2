// The tables that the recorder fills, as the files in migrations/ make them.

interface Table {
  /** The first is the primary key: a row that comes twice under the same key is stored once. */
  readonly columns: readonly string[];
  /** A column that counts: a row that comes again with a higher count takes the place of the one before. */
  readonly grows?: string;
}

export const TABLES = {
  /** One row per run of a task on what serves. */
  scores: {
    columns: [
      "id",
      "number",
      "variant",
      "variant_digest",
      "engine",
      "engine_digest",
      "task",
      "data_digest",
      "items",
      "total",
      "failed",
      "compared",
      "discordant",
      "evidence",
      "metrics",
      "ms",
      "measured_at",
      "finished",
    ],
    grows: "items",
  },
  /** One row per item of a run. */
  items: { columns: ["id", "run", "item", "result", "error", "discordant", "ms", "measured_at"] },
  /** One row per time that a variant was put under quarantine. */
  quarantine: { columns: ["id", "variant", "variant_digest", "engine_digest", "reason", "at", "lifted_at"] },
  /** One row per answer: which variant gave it, and why. */
  decisions: { columns: ["id", "key", "variant", "rule", "at", "record"] },
  /** One row per unit of an experiment and epoch: that it met its arm. */
  exposures: { columns: ["id", "experiment", "epoch", "unit", "arm", "place", "at"] },
  /** One row per request and metric. */
  outcomes: {
    columns: ["id", "experiment", "epoch", "unit", "arm", "request", "metric", "value", "begun_at", "at"],
  },
  /** One row per answer in an experiment, by the id that its reply has. */
  completions: { columns: ["id", "key", "experiment", "epoch", "unit", "arm", "begun_at"] },
  /** One row per rated answer. */
  feedback: { columns: ["id", "experiment", "rating", "text", "at"] },
  /** One row per thing that befell an experiment. */
  experiment_log: { columns: ["id", "experiment", "at", "action", "by", "detail"] },
} as const satisfies Record<string, Table>;

export type TableName = keyof typeof TABLES;
export type Value = string | number | null;
/** A row of a table: a value for each of its columns. JSON goes in as text, times as milliseconds since 1970. */
export type RowOf<T extends TableName> = Readonly<Record<(typeof TABLES)[T]["columns"][number], Value>>;

/** A statement that stores the rows of the JSON array bound to it: one statement and one parameter, however many rows. */
export function insertStatement(name: TableName): string {
  const { columns, grows }: Table = TABLES[name];
  const values = columns.map((column) => `json_extract(value, '$.${column}')`);
  const rows = `INTO ${name} (${columns.join(", ")}) SELECT ${values.join(", ")} FROM json_each(?1)`;
  if (!grows) return `INSERT OR IGNORE ${rows}`;
  const [key, ...others] = columns;
  const changes = others.map((column) => `${column} = excluded.${column}`);
  // SQLite wants a WHERE here, to tell ON CONFLICT from a join's ON.
  return `INSERT ${rows} WHERE true ON CONFLICT (${key}) DO UPDATE SET ${changes.join(", ")} WHERE excluded.${grows} > ${name}.${grows}`;
}
