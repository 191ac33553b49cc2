import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { createRecorder, insertStatement, type RowOf, TABLES, type TableName } from "../../src/storage/index.ts";
import type { RecordQueueObject } from "../../src/storage/queue-object.ts";
import { env, migratedDatabase } from "../support/database.ts";

let db: D1Database;
beforeAll(async () => {
  db = await migratedDatabase();
});
const logged: Record<string, unknown>[] = [];
beforeEach(() => {
  logged.length = 0;
  vi.spyOn(console, "error").mockImplementation((line: string) => void logged.push(JSON.parse(line)));
});
afterEach(() => vi.restoreAllMocks());

const item = (id: string): RowOf<"items"> => ({
  id,
  run: "run",
  item: 3,
  result: `{"text":"O'Neil \\" \u00e9"}`,
  error: null,
  discordant: 0,
  ms: 12.5,
  measured_at: 1_700_000_000_000,
});
/** A row with zeros where nothing else is said. */
const rowOf = <T extends TableName>(table: T, values: Partial<RowOf<T>>): RowOf<T> => ({
  ...(Object.fromEntries(TABLES[table].columns.map((column) => [column, 0])) as RowOf<T>),
  ...values,
});
const stored = async (like: string): Promise<string[]> =>
  (await db.prepare("SELECT id FROM items WHERE id LIKE ? ORDER BY id").bind(like).all<{ id: string }>()).results.map(
    ({ id }) => id,
  );
const queueOf = (name: string): DurableObjectStub<RecordQueueObject> => env.RECORDS.getByName(name);
const recorderOn = (queue: DurableObjectStub<RecordQueueObject>) =>
  createRecorder({ queue: () => queue as never, log: (entry) => void logged.push(entry as Record<string, unknown>) });

type Hurdle = "away" | "stored, but the acknowledgement is lost" | "there";

/** Puts a database before the real one, which meets each statement with the next hurdle. */
const withHurdles = (queue: DurableObjectStub<RecordQueueObject>, hurdles: Hurdle[]): Promise<void> =>
  runInDurableObject(queue, (instance) => {
    const prepare = (sql: string) => ({
      bind: (json: string) => ({
        async run() {
          const hurdle = hurdles.shift() ?? "there";
          if (hurdle === "away") throw new Error("D1_ERROR: no connection");
          const result = await db.prepare(sql).bind(json).run();
          if (hurdle !== "there") throw new Error("D1_ERROR: connection lost");
          return result;
        },
      }),
    });
    Object.assign(instance, { env: { DB: { prepare } } });
  });

/** When the next attempt is due, from now, in ms. */
const nextAttempt = (queue: DurableObjectStub<RecordQueueObject>): Promise<number | undefined> =>
  runInDurableObject(queue, async (_, state) => {
    const at = await state.storage.getAlarm();
    return at === null ? undefined : at - Date.now();
  });

describe("the recorder", () => {
  it("stores rows as they are, after they have gathered for a second", async () => {
    const queue = queueOf("plain");
    await recorderOn(queue).record("items", [item("plain-1"), item("plain-2")]);
    expect(await stored("plain-%")).toEqual([]);
    expect(await nextAttempt(queue)).toBeLessThanOrEqual(1000);
    await runDurableObjectAlarm(queue);
    expect(await stored("plain-%")).toEqual(["plain-1", "plain-2"]);
    expect(await db.prepare("SELECT * FROM items WHERE id = 'plain-1'").first()).toEqual(item("plain-1"));
    expect(await nextAttempt(queue)).toBeUndefined();
    expect(logged).toEqual([]);
  });

  it("stores each row once after D1 was away for a while, lost an acknowledgement and got the row again", async () => {
    const queue = queueOf("away");
    const recorder = recorderOn(queue);
    await withHurdles(queue, ["away", "away", "stored, but the acknowledgement is lost", "there"]);
    await recorder.record("items", [item("away-1")]);
    await runDurableObjectAlarm(queue);
    await recorder.record("items", [item("away-1"), item("away-2")]);
    await runDurableObjectAlarm(queue);
    expect(await stored("away-%")).toEqual([]);
    await runDurableObjectAlarm(queue);
    await recorder.record("items", [item("away-3")]);
    await runDurableObjectAlarm(queue);
    expect(await stored("away-%")).toEqual(["away-1", "away-2", "away-3"]);
    expect(logged.map(({ event, rows, retryMs }) => [event, rows, retryMs])).toEqual([
      ["records_waiting", 1, 2000],
      ["records_waiting", 3, 4000],
      ["records_waiting", 3, 8000],
    ]);
    expect(await nextAttempt(queue)).toBeUndefined();
  });

  it("finds a row that waits still, and no other", async () => {
    const queue = queueOf("waiting");
    const recorder = recorderOn(queue);
    await recorder.record("items", [item("waiting-1")]);
    expect(await recorder.waiting("items", "waiting-1")).toEqual(item("waiting-1"));
    expect(await recorder.waiting("items", "waiting-2")).toBeUndefined();
    expect(await recorder.waiting("decisions", "waiting-1")).toBeUndefined();
    await runDurableObjectAlarm(queue);
    expect(await recorder.waiting("items", "waiting-1")).toBeUndefined();
  });

  it("backs off up to five minutes, and starts afresh once D1 is back", async () => {
    const queue = queueOf("back-off");
    const recorder = recorderOn(queue);
    await withHurdles(queue, Array<Hurdle>(12).fill("away"));
    await recorder.record("items", [item("back-off-1")]);
    for (let i = 0; i < 12; i++) await runDurableObjectAlarm(queue);
    expect(await nextAttempt(queue)).toBeGreaterThan(290_000);
    expect(await nextAttempt(queue)).toBeLessThanOrEqual(300_000);
    await runDurableObjectAlarm(queue);
    await recorder.record("items", [item("back-off-2")]);
    expect(await nextAttempt(queue)).toBeLessThanOrEqual(1000);
  });

  it("does not let a table that D1 refuses hold up another, and says what to do", async () => {
    const queue = queueOf("refused");
    await runInDurableObject(queue, (instance) => {
      const prepare = (sql: string) => db.prepare(sql.replace("INTO quarantine", "INTO missing"));
      Object.assign(instance, { env: { DB: { prepare } } });
    });
    await recorderOn(queue).record("quarantine", [rowOf("quarantine", { id: "refused" })]);
    await recorderOn(queue).record("items", [item("refused-1")]);
    await runDurableObjectAlarm(queue);
    expect(await stored("refused-%")).toEqual(["refused-1"]);
    expect(logged[0]).toMatchObject({ event: "records_waiting", hint: expect.stringContaining("migrations apply") });
    expect(JSON.stringify(logged[0]?.errors)).toContain("no such table: missing");
  });

  it("keeps rows where no database is bound", async () => {
    const queue = queueOf("unbound");
    await runInDurableObject(queue, (instance) => void Object.assign(instance, { env: {} }));
    await recorderOn(queue).record("items", [item("unbound-1")]);
    await runDurableObjectAlarm(queue);
    expect(logged[0]).toMatchObject({ event: "records_waiting", rows: 1 });
    expect(JSON.stringify(logged[0]?.errors)).toContain("no D1 database is bound");
  });

  it("sends many rows in batches", async () => {
    const queue = queueOf("many");
    await recorderOn(queue).record(
      "items",
      Array.from({ length: 1100 }, (_, i) => item(`many-${i}`)),
    );
    const counts: number[] = [];
    for (let i = 0; i < 3; i++) {
      await runDurableObjectAlarm(queue);
      counts.push((await stored("many-%")).length);
    }
    expect(counts).toEqual([500, 1000, 1100]);
  });

  it("reports rows that are lost: the queue is full or away, or a row is too long", async () => {
    const queue = queueOf("full");
    await runInDurableObject(queue, (_, state) => {
      state.storage.sql.exec(
        `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 49999)
         INSERT INTO queue ("table", json) SELECT 'items', '{}' FROM n`,
      );
    });
    // The queue counts its rows when it starts.
    await abortAllDurableObjects();
    const restarted = queueOf("full");
    await recorderOn(restarted).record("items", [item("full-1"), item("full-2")]);
    expect(logged.at(-1)).toMatchObject({ event: "records_lost", table: "items", rows: 1 });
    await recorderOn(queueOf("empty")).record("items", [{ ...item("long"), result: "x".repeat(70_000) }]);
    expect(logged.at(-1)).toMatchObject({ event: "records_lost", table: "items", rows: 1 });
    const gone = {
      add: () => Promise.reject(new Error("the object is gone")),
      find: () => Promise.reject(new Error("the object is gone")),
    };
    let now = 5;
    let at: { add(): Promise<number>; find(): Promise<undefined> } = gone;
    const recorder = createRecorder({
      queue: () => at,
      log: (entry) => void logged.push(entry as never),
      now: () => now,
    });
    await recorder.record("items", [item("x")]);
    expect(logged.at(-1)).toMatchObject({ event: "records_lost", rows: 1, message: "the object is gone" });
    now = 9;
    await recorder.record("items", [item("x")]);
    expect(recorder.failing).toEqual({ since: 5, message: "the object is gone" });
    at = { add: async () => 0, find: async () => undefined };
    await recorder.record("items", [item("x")]);
    expect(recorder.failing).toBeUndefined();
  });
});

it("lets a row that grows take the place of the shorter one, and never the other way round", async () => {
  const queue = queueOf("growing");
  for (const items of [5, 10, 7, 10]) {
    await recorderOn(queue).record("scores", [rowOf("scores", { id: "growing", items, metrics: `of ${items}` })]);
  }
  await runDurableObjectAlarm(queue);
  await recorderOn(queue).record("scores", [rowOf("scores", { id: "growing", items: 5, metrics: "late" })]);
  await runDurableObjectAlarm(queue);
  const rows = await db.prepare("SELECT items, metrics FROM scores WHERE id = 'growing'").all();
  expect(rows.results).toEqual([{ items: 10, metrics: "of 10" }]);
});

it("has a statement for each table that D1 accepts", async () => {
  for (const table of Object.keys(TABLES) as TableName[]) {
    await db.prepare(insertStatement(table)).bind("[]").run();
    const columns = await db.prepare(`SELECT name FROM pragma_table_info('${table}')`).all<{ name: string }>();
    expect(columns.results.map(({ name }) => name).sort()).toEqual([...TABLES[table].columns].sort());
  }
});
