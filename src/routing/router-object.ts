// The Durable Object that learns: gateway isolates come and go, and each sees only its own requests. It is never on a request's path.
import { DurableObject } from "cloudflare:workers";
import type { DecisionRecord } from "./record.ts";
import { newState, type RouterState } from "./state.ts";
import { type KeptDecision, learnReport, type Report, type RouterStore } from "./store.ts";

/** What was learnt is written this long after it changed. */
const WRITE_MS = 5_000;
/** Decisions that are kept here; D1 has the older ones. */
const MOST_DECISIONS = 2_000;
/** Changes with the form of the state: an older form is not read. */
const STATE_KEY = "state-2";

export class RouterObject extends DurableObject<unknown> implements RouterStore {
  readonly #sql: SqlStorage;
  #state: RouterState = newState();

  constructor(context: DurableObjectState, env: unknown) {
    super(context, env);
    this.#sql = context.storage.sql;
    this.#sql.exec(
      "CREATE TABLE IF NOT EXISTS decisions (seq INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, key TEXT NOT NULL, record TEXT NOT NULL)",
    );
    context.blockConcurrencyWhile(async () => {
      this.#state = (await context.storage.get<RouterState>(STATE_KEY)) ?? newState();
    });
  }

  async snapshot(): Promise<RouterState> {
    return this.#state;
  }

  async report(reports: readonly Report[]): Promise<void> {
    const now = Date.now();
    for (const report of reports) {
      const { key, record } = report;
      this.#sql.exec(
        "INSERT INTO decisions (id, key, record) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET record = excluded.record",
        record.id,
        key,
        JSON.stringify(record),
      );
      learnReport(this.#state, report, now);
    }
    this.#sql.exec("DELETE FROM decisions WHERE seq <= (SELECT max(seq) FROM decisions) - ?", MOST_DECISIONS);
    if ((await this.ctx.storage.getAlarm()) === null) await this.ctx.storage.setAlarm(now + WRITE_MS);
  }

  async find(id: string): Promise<KeptDecision | undefined> {
    const row = this.#sql
      .exec<{ key: string; record: string }>("SELECT key, record FROM decisions WHERE id = ?", id)
      .toArray()[0];
    return row && { key: row.key, record: JSON.parse(row.record) as DecisionRecord };
  }

  override async alarm(): Promise<void> {
    await this.ctx.storage.put(STATE_KEY, this.#state);
  }
}
