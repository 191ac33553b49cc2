// The tables that the recorder fills: their columns as the files in migrations/ make them. The first column is the primary key; a row
// that comes twice under the same key is stored once.

export const TABLES = {
  /** One row per finished run of a task on what serves. */
  runs: [
    "id",
    "variant",
    "variant_digest",
    "engine",
    "engine_digest",
    "task",
    "data_digest",
    "items",
    "metrics",
    "discordant",
    "failed",
    "ms",
    "finished_at",
  ],
  /** One row per item of a run. */
  items: ["id", "run", "item", "result", "error", "discordant", "ms", "measured_at"],
  /** A variant was put under quarantine, or taken out of it. */
  quarantine: ["id", "variant", "variant_digest", "engine_digest", "event", "reason", "at"],
} as const satisfies Record<string, readonly string[]>;

export type TableName = keyof typeof TABLES;
export type Value = string | number | null;
/** A row of a table: a value for each of its columns. JSON goes in as text, times as milliseconds since 1970. */
export type RowOf<T extends TableName> = Readonly<Record<(typeof TABLES)[T][number], Value>>;

/** A statement that stores the rows of the JSON array bound to it: one statement and one parameter, however many rows. */
export function insertStatement(table: TableName): string {
  const columns = TABLES[table];
  const values = columns.map((column) => `json_extract(value, '$.${column}')`);
  return `INSERT OR IGNORE INTO ${table} (${columns.join(", ")}) SELECT ${values.join(", ")} FROM json_each(?1)`;
}
