// The queue of records: a Durable Object that keeps rows in its own storage until D1 has taken them. A row leaves the queue only after D1
// has acknowledged it, and D1 stores it once however often it is sent, so that each arrives exactly once.
import { DurableObject } from "cloudflare:workers";
import type { RecordQueue } from "./recorder.ts";
import { insertStatement, TABLES, type TableName } from "./tables.ts";

export interface RecordQueueEnv {
  /** Undefined where the deployment has no database: rows then wait. */
  readonly DB?: D1Database;
}

/** A row on its way: the table, and the row as JSON. */
export interface Row {
  readonly table: TableName;
  readonly json: string;
}

/** Rows gather for this long before they are sent. */
const GATHER_MS = 1_000;
/** After a failure the next attempt waits twice as long as the one before, up to this. */
const LONGEST_WAIT_MS = 5 * 60_000;
/** Most rows in the queue; later ones are dropped. */
const MAX_WAITING = 50_000;
/** Longest row, in characters. */
const MAX_ROW = 64 * 1024;
/** Most rows and characters of one statement; D1 takes at most 2 MB for a value. */
const MAX_BATCH = { rows: 500, characters: 500_000 };

export class RecordQueueObject extends DurableObject<RecordQueueEnv> implements RecordQueue {
  readonly #sql: SqlStorage;
  #waiting: number;

  constructor(state: DurableObjectState, env: RecordQueueEnv) {
    super(state, env);
    this.#sql = state.storage.sql;
    this.#sql.exec(`CREATE TABLE IF NOT EXISTS queue (seq INTEGER PRIMARY KEY, "table" TEXT NOT NULL, json TEXT NOT NULL);
      CREATE INDEX IF NOT EXISTS queue_by_table ON queue ("table", seq)`);
    this.#waiting = this.#sql.exec<{ rows: number }>("SELECT count(*) AS rows FROM queue").one().rows;
  }

  async add(rows: readonly Row[]): Promise<number> {
    const short = rows.filter(({ json }) => json.length <= MAX_ROW);
    const taken = short.slice(0, Math.max(0, MAX_WAITING - this.#waiting));
    for (const { table, json } of taken) this.#sql.exec('INSERT INTO queue ("table", json) VALUES (?, ?)', table, json);
    this.#waiting += taken.length;
    if (this.#waiting > 0 && (await this.ctx.storage.getAlarm()) === null) {
      await this.ctx.storage.setAlarm(Date.now() + GATHER_MS);
    }
    return rows.length - taken.length;
  }

  async find(table: TableName, key: string): Promise<string | undefined> {
    const byKey = `SELECT json FROM queue WHERE "table" = ? AND json_extract(json, '$.${TABLES[table].columns[0]}') = ? LIMIT 1`;
    return this.#sql.exec<{ json: string }>(byKey, table, key).toArray()[0]?.json;
  }

  override async alarm(): Promise<void> {
    const tables = this.#sql.exec<{ table: TableName }>('SELECT DISTINCT "table" FROM queue').toArray();
    // One table that D1 refuses must not hold up the others.
    const errors: string[] = [];
    for (const { table } of tables) {
      await this.#send(table).catch((error: unknown) => {
        errors.push(`${table}: ${error instanceof Error ? error.message : String(error)}`);
      });
    }
    const failures = errors.length > 0 ? ((await this.ctx.storage.get<number>("failures")) ?? 0) + 1 : 0;
    await this.ctx.storage.put("failures", failures);
    if (this.#waiting === 0) return;
    const retryMs = Math.min(GATHER_MS * 2 ** failures, LONGEST_WAIT_MS);
    await this.ctx.storage.setAlarm(Date.now() + retryMs);
    if (failures > 0) log({ event: "records_waiting", rows: this.#waiting, retryMs, errors, hint: HINT });
  }

  /** Sends the oldest rows of a table. */
  async #send(table: TableName): Promise<void> {
    const batch: { seq: number; json: string }[] = [];
    let characters = 0;
    const oldest = 'SELECT seq, json FROM queue WHERE "table" = ? ORDER BY seq LIMIT ?';
    for (const row of this.#sql.exec<{ seq: number; json: string }>(oldest, table, MAX_BATCH.rows)) {
      characters += row.json.length;
      if (batch.length > 0 && characters > MAX_BATCH.characters) break;
      batch.push(row);
    }
    const last = batch.at(-1);
    if (!last) return;
    if (!this.env.DB) throw new Error("no D1 database is bound");
    await this.env.DB.prepare(insertStatement(table))
      .bind(`[${batch.map(({ json }) => json).join(",")}]`)
      .run();
    this.#sql.exec('DELETE FROM queue WHERE "table" = ? AND seq <= ?', table, last.seq);
    this.#waiting -= batch.length;
  }
}

const HINT =
  "Rows wait until D1 takes them. Bind a database as DB in wrangler.toml and apply the migrations: npx wrangler d1 migrations apply DB";

const log = (entry: object): void => console.error(JSON.stringify(entry));
