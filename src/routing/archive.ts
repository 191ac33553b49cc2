// Decisions that are older than the router's own memory: in D1, written through the queue of records once an answer has ended.
import type { Recorder } from "../storage/index.ts";
import type { DecisionRecord } from "./record.ts";
import type { KeptDecision } from "./store.ts";

export interface Archive {
  /** Never rejects; a row that D1 cannot take now arrives later. */
  keep(decision: KeptDecision): Promise<void>;
  /** Throws when D1 cannot be reached. */
  find(id: string): Promise<KeptDecision | undefined>;
}

/** @param db undefined where the deployment has none: then only what the router remembers can be found */
export const createArchive = (recorder: Recorder, db: D1Database | undefined): Archive => ({
  keep: ({ key, record }) =>
    recorder.record("decisions", [
      {
        id: record.id,
        key,
        variant: record.variant,
        rule: record.rule,
        at: record.created * 1000,
        record: JSON.stringify(record),
      },
    ]),
  async find(id) {
    const row = await db
      ?.prepare("SELECT key, record FROM decisions WHERE id = ?")
      .bind(id)
      .first<{ key: string; record: string }>();
    return row ? { key: row.key, record: JSON.parse(row.record) as DecisionRecord } : undefined;
  },
});
