// Experiments and their logs in D1. Each change is a step of the log, written together with it.
import { StorageError } from "../../storage/index.ts";
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
  /**
   * `make` gets all experiments as they are at that moment, and is asked again when a step of any came first; what it throws is thrown.
   * @returns undefined when there is or was one of this id
   */
  create(id: string, make: (all: readonly StoredExperiment[]) => Change): Promise<StoredExperiment | undefined>;
  /** As `create`. @returns undefined when there is none, or `make` wants no change */
  change(
    id: string,
    make: (current: StoredExperiment, all: readonly StoredExperiment[]) => Change | undefined,
  ): Promise<StoredExperiment | undefined>;
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

interface Kept {
  /** Oldest first. */
  readonly all: readonly StoredExperiment[];
  /** Of deleted ones too. */
  readonly ids: ReadonlySet<string>;
  /** That were taken so far, of all experiments. */
  readonly steps: number;
}

export function createExperimentStore(db: D1Database): ExperimentStore {
  const read = async (): Promise<Kept> => {
    const { results } = await reach(() =>
      db
        .prepare(`SELECT ${COLUMNS}, deleted_at FROM experiments ORDER BY created_at, id`)
        .all<ExperimentRow & { deleted_at: number | null }>(),
    );
    const rows = results.map((row) => ({ stored: fromRow(row), isDeleted: row.deleted_at !== null }));
    return {
      all: rows.flatMap(({ stored, isDeleted }) => (isDeleted ? [] : [stored])),
      ids: new Set(rows.map(({ stored }) => stored.spec.id)),
      steps: rows.reduce((sum, { stored }) => sum + stored.version, 0),
    };
  };
  /** Takes a step from what is there, and anew while others come first. @param make undefined: there is nothing to do */
  async function step<T>(
    id: string,
    make: (
      kept: Kept,
    ) => { readonly entry: LogEntry; readonly writes: D1PreparedStatement[]; readonly done: T } | undefined,
  ): Promise<T | undefined> {
    for (let tries = 0; tries < MAX_ATTEMPTS; tries++) {
      const kept = await read();
      const made = make(kept);
      if (!made) return undefined;
      const { at, action, by, detail } = made.entry;
      const logged = db
        .prepare("INSERT INTO experiment_log (id, experiment, at, action, by, detail) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(`#${kept.steps + 1}`, id, at, action, by, JSON.stringify(detail));
      try {
        await db.batch([logged, ...made.writes]);
        return made.done;
      } catch (cause) {
        // Another step has this number: then nothing was written.
        if (!String(cause).includes("UNIQUE constraint failed")) {
          throw new StorageError("experiments are not reachable", { cause });
        }
      }
    }
    throw new StorageError("the experiments are being changed by others");
  }

  return {
    async list() {
      return (await read()).all;
    },
    async find(id) {
      return (await read()).all.find(({ spec }) => spec.id === id);
    },
    create: (id, make) =>
      step(id, ({ all, ids }) => {
        if (ids.has(id)) return undefined;
        const { next, entry } = make(all);
        const { spec, epochs, secret, version, createdAt } = next;
        const write = db
          .prepare(
            "INSERT INTO experiments (id, spec, epochs, secret, version, created_at, stopped_at, deleted_at) VALUES (?, ?, ?, ?, ?, ?, NULL, NULL)",
          )
          .bind(id, JSON.stringify(spec), JSON.stringify(epochs), secret, version, createdAt);
        return { entry, writes: [write], done: next };
      }),
    change: (id, make) =>
      step(id, ({ all }) => {
        const current = all.find(({ spec }) => spec.id === id);
        const change = current && make(current, all);
        if (!change) return undefined;
        const next = { ...change.next, version: current.version + 1 };
        const write = db
          .prepare("UPDATE experiments SET spec = ?, epochs = ?, version = ?, stopped_at = ? WHERE id = ?")
          .bind(JSON.stringify(next.spec), JSON.stringify(next.epochs), next.version, next.stoppedAt ?? null, id);
        return { entry: change.entry, writes: [write], done: next };
      }),
    async remove(id, entry) {
      const done = await step(id, ({ all }) => {
        const current = all.find(({ spec }) => spec.id === id);
        if (!current) return undefined;
        const write = db
          .prepare("UPDATE experiments SET deleted_at = ?, version = ? WHERE id = ?")
          .bind(entry.at, current.version + 1, id);
        const deletions = RECORDED.map((table) => db.prepare(`DELETE FROM ${table} WHERE experiment = ?`).bind(id));
        return { entry, writes: [write, ...deletions], done: true };
      });
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
