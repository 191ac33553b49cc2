// Responses in D1, each under the key that made it, until they expire.
import type { Item, ResponseObject } from "../openai/index.ts";
import { StorageError } from "../storage/index.ts";

export interface StoredResponse {
  readonly response: ResponseObject;
  /** All that it was given, with what the responses before it had. */
  readonly input: readonly Item[];
}

/** All of it throws StorageError when D1 cannot be reached. */
export interface ResponseStore {
  insert(key: string, stored: StoredResponse): Promise<void>;
  /** Undefined for another key's, and for one that has expired. */
  find(key: string, id: string): Promise<StoredResponse | undefined>;
  /** Puts a response in the place of itself while it was not over yet. @returns whether it was not, and is still there */
  update(response: ResponseObject): Promise<boolean>;
  /** @returns whether there was one */
  remove(key: string, id: string): Promise<boolean>;
  /** Deletes what has expired. */
  sweep(): Promise<void>;
}

export interface ResponseStoreOptions {
  readonly db: D1Database;
  /** How long a response is kept after it was made, in milliseconds. */
  readonly keepMs: number;
  /** Milliseconds since 1970. */
  now(): number;
}

/** D1 takes 2 MB for a row, and so does a Durable Object for a value, in UTF-16; what the model adds needs room too. */
const MAX_BYTES = 900_000;
/** Rows deleted by one sweep: D1 bounds the time of a statement. */
const MAX_SWEPT = 1_000;

/** To be asked before a response is made. @returns what is wrong with it; undefined for what can be stored */
export function whyNotStorable(stored: StoredResponse): string | undefined {
  const bytes = new TextEncoder().encode(JSON.stringify(stored)).length;
  if (bytes <= MAX_BYTES) return undefined;
  return `request and conversation are ${bytes} bytes of JSON, and at most ${MAX_BYTES} can be stored`;
}

export function createResponseStore({ db, keepMs, now }: ResponseStoreOptions): ResponseStore {
  const reach = async <T>(query: () => Promise<T>): Promise<T> => {
    try {
      return await query();
    } catch (cause) {
      throw new StorageError("stored responses are not reachable", { cause });
    }
  };
  return {
    async insert(key, { response, input }) {
      await reach(() =>
        db
          .prepare("INSERT INTO responses (id, key, status, response, input, expires_at) VALUES (?, ?, ?, ?, ?, ?)")
          .bind(response.id, key, response.status, JSON.stringify(response), JSON.stringify(input), now() + keepMs)
          .run(),
      );
    },
    async find(key, id) {
      const row = await reach(() =>
        db
          .prepare("SELECT response, input FROM responses WHERE id = ? AND key = ? AND expires_at > ?")
          .bind(id, key, now())
          .first<{ response: string; input: string }>(),
      );
      return row ? { response: JSON.parse(row.response), input: JSON.parse(row.input) } : undefined;
    },
    async update(response) {
      const { meta } = await reach(() =>
        db
          .prepare("UPDATE responses SET status = ?, response = ? WHERE id = ? AND status IN ('queued', 'in_progress')")
          .bind(response.status, JSON.stringify(response), response.id)
          .run(),
      );
      return meta.changes > 0;
    },
    async remove(key, id) {
      const { meta } = await reach(() =>
        db.prepare("DELETE FROM responses WHERE id = ? AND key = ? AND expires_at > ?").bind(id, key, now()).run(),
      );
      return meta.changes > 0;
    },
    async sweep() {
      await reach(() =>
        db
          .prepare("DELETE FROM responses WHERE id IN (SELECT id FROM responses WHERE expires_at <= ? LIMIT ?)")
          .bind(now(), MAX_SWEPT)
          .run(),
      );
    },
  };
}
