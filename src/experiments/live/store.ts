// Experiments and their logs in D1. Each change is a step of the log, written together with it.
import { StorageError } from "../../responses/errors.ts";
import { type ExperimentRow, fromRow, type StoredExperiment } from "./stored.ts";

/** A step of an experiment's log. */
export interface LogEntry {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly action: string;
  /** Id of the key that did it, or `verdict` or `gateway`. */
  readonly by: string;
  readonly detail: unknown;
}

/** All of it throws StorageError when D1 cannot be reached. */
export interface ExperimentStore {
  /** Oldest first. */
  list(): Promise<readonly StoredExperiment[]>;
  find(id: string): Promise<StoredExperiment | undefined>;
  /** @returns whether there was none of this id, ever */
  create(stored: StoredExperiment, entry: LogEntry): Promise<boolean>;
  /**
   * Changes an experiment as it is at that moment: `make` is asked again when another change came first; what it throws is thrown.
   * @returns undefined when there is none, or `make` wants no change
   */
  change(id: string, make: (current: StoredExperiment) => Change | undefined): Promise<StoredExperiment | undefined>;
  /** Deletes what was recorded of it; its log stays. @returns whether there was one */
  remove(id: string, entry: LogEntry): Promise<boolean>;
  log(id: string): Promise<readonly LogEntry[]>;
}

export interface Change {
  readonly next: StoredExperiment;
  readonly entry: LogEntry;
}

const COLUMNS = "spec, epochs, secret, version, created_at, stopped_at";
const MAX_ATTEMPTS = 5;
/** What is deleted with an experiment. */
const RECORDED = ["exposures", "outcomes", "completions", "feedback"] as const;

export function createExperimentStore(db: D1Database): ExperimentStore {
  const logged = (id: string, version: number, { at, action, by, detail }: LogEntry): D1PreparedStatement =>
    db
      .prepare("INSERT INTO experiment_log (id, experiment, at, action, by, detail) VALUES (?, ?, ?, ?, ?, ?)")
      .bind(`${id}/${version}`, id, at, action, by, JSON.stringify(detail));
  const find = async (id: string): Promise<StoredExperiment | undefined> => {
    const row = await reach(() =>
      db
        .prepare(`SELECT ${COLUMNS} FROM experiments WHERE id = ? AND deleted_at IS NULL`)
        .bind(id)
        .first<ExperimentRow>(),
    );
    return row ? fromRow(row) : undefined;
  };
  /** @returns false when another step came first: then nothing is written */
  const step = async (statements: D1PreparedStatement[]): Promise<boolean> => {
    try {
      await db.batch(statements);
      return true;
    } catch (cause) {
      if (String(cause).includes("UNIQUE constraint failed")) return false;
      throw new StorageError("experiments are not reachable", { cause });
    }
  };
  /** The next step of what is there: tried again while others come first. */
  async function next<T>(id: string, attempt: (current: StoredExperiment) => Promise<T | undefined>) {
    for (let tries = 0; tries < MAX_ATTEMPTS; tries++) {
      const current = await find(id);
      if (!current) return undefined;
      const done = await attempt(current);
      if (done !== undefined) return done;
    }
    throw new StorageError("the experiment is being changed by others");
  }

  return {
    find,
    async list() {
      const { results } = await reach(() =>
        db
          .prepare(`SELECT ${COLUMNS} FROM experiments WHERE deleted_at IS NULL ORDER BY created_at, id`)
          .all<ExperimentRow>(),
      );
      return results.map(fromRow);
    },
    create: ({ spec, epochs, secret, version, createdAt }, entry) =>
      step([
        db
          .prepare(
            "INSERT INTO experiments (id, spec, epochs, secret, version, created_at, stopped_at, deleted_at) VALUES (?, ?, ?, ?, ?, ?, NULL, NULL)",
          )
          .bind(spec.id, JSON.stringify(spec), JSON.stringify(epochs), secret, version, createdAt),
        logged(spec.id, version, entry),
      ]),
    async change(id, make) {
      const changed = await next(id, async (current) => {
        const change = make(current);
        if (!change) return { stored: undefined };
        const stored = { ...change.next, version: current.version + 1 };
        const isDone = await step([
          logged(id, stored.version, change.entry),
          db
            .prepare("UPDATE experiments SET spec = ?, epochs = ?, version = ?, stopped_at = ? WHERE id = ?")
            .bind(
              JSON.stringify(stored.spec),
              JSON.stringify(stored.epochs),
              stored.version,
              stored.stoppedAt ?? null,
              id,
            ),
        ]);
        return isDone ? { stored } : undefined;
      });
      return changed?.stored;
    },
    async remove(id, entry) {
      const done = await next(id, async ({ version }) =>
        (await step([
          logged(id, version + 1, entry),
          db.prepare("UPDATE experiments SET deleted_at = ?, version = ? WHERE id = ?").bind(entry.at, version + 1, id),
          ...RECORDED.map((table) => db.prepare(`DELETE FROM ${table} WHERE experiment = ?`).bind(id)),
        ]))
          ? true
          : undefined,
      );
      return done ?? false;
    },
    async log(id) {
      const { results } = await reach(() =>
        db
          .prepare("SELECT at, action, by, detail FROM experiment_log WHERE experiment = ? ORDER BY at, rowid")
          .bind(id)
          .all<{ at: number; action: string; by: string; detail: string }>(),
      );
      return results.map(({ detail, ...entry }) => ({ ...entry, detail: JSON.parse(detail) }));
    },
  };
}

async function reach<T>(query: () => Promise<T>): Promise<T> {
  try {
    return await query();
  } catch (cause) {
    throw new StorageError("experiments are not reachable", { cause });
  }
}
