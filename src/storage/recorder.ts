// Records that must arrive in D1 exactly once, and must never hold up or fail an answer: they queue in a Durable Object, which writes them
// to D1 when it is there.
import type { Row } from "./queue-object.ts";
import type { RowOf, TableName } from "./tables.ts";

export interface Recorder {
  /**
   * Queues rows for a table of `TABLES`; each carries its own idempotency key in the table's first column, so recording a row again is
   * harmless. For `waitUntil`: it settles once the rows are stored in the queue, and never rejects; rows that could not be are reported
   * to the log by number.
   */
  record<T extends TableName>(table: T, rows: readonly RowOf<T>[]): Promise<void>;
  /** A row that waits still, by its key. Throws when the queue cannot be reached. */
  waiting<T extends TableName>(table: T, key: string): Promise<RowOf<T> | undefined>;
  /** Why rows are lost now, and since when; undefined while they are kept. */
  readonly failing: Failing | undefined;
}

/** Storage that takes nothing. */
export interface Failing {
  /** Milliseconds since 1970. */
  readonly since: number;
  readonly message: string;
}

/** The Durable Object that holds the queue, as its caller sees it. */
export interface RecordQueue {
  /** @returns how many rows were dropped because the queue is full */
  add(rows: readonly Row[]): Promise<number>;
  /** @returns the row of a table that waits under this key, as JSON */
  find(table: TableName, key: string): Promise<string | undefined>;
}

export interface RecorderOptions {
  /** Finds the queue anew for each event: in Workers, a stub belongs to the event in which it was made. */
  queue(): RecordQueue;
  /** Receives an entry when rows are lost. */
  readonly log: (entry: object) => void;
  /** Milliseconds since 1970. Default: `Date.now`. */
  readonly now?: () => number;
}

/** workerd gives no other name to a database that cannot be opened or written. */
const reasonOf = (error: unknown): string => {
  const message = error instanceof Error ? error.message : String(error);
  return message.startsWith("internal error")
    ? `the storage takes nothing, as on a disk that is full; the log of the runtime says more (${message})`
    : message;
};

export function createRecorder({ queue, log, now = Date.now }: RecorderOptions): Recorder {
  let failing: Failing | undefined;
  return {
    get failing() {
      return failing;
    },
    async record(table, rows) {
      if (rows.length === 0) return;
      try {
        const lost = await queue().add(rows.map((row) => ({ table, json: JSON.stringify(row) })));
        failing = undefined;
        if (lost > 0) log({ event: "records_lost", table, rows: lost, message: "the queue is full: D1 has been away" });
      } catch (error) {
        const message = reasonOf(error);
        failing = { since: failing?.since ?? now(), message };
        log({ event: "records_lost", table, rows: rows.length, message });
      }
    },
    async waiting(table, key) {
      const json = await queue().find(table, key);
      return json === undefined ? undefined : JSON.parse(json);
    },
  };
}
