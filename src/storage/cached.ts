// A value from a store, kept for a while in the isolate. A request never waits for what another one asked for: in Workers, a promise that
// hangs on another request's I/O may never settle.

export interface CachedOptions<T> {
  load(): Promise<T>;
  /** An older value is loaded anew, beside the request that found it old. */
  readonly freshMs: number;
  /** Where there is no value yet, a request waits for one this long. */
  readonly waitMs: number;
  now(): number;
  /** Told when the store cannot be reached, and again only after it could. */
  onAway(error: unknown): void;
}

export interface Cached<T> {
  /** The value as last loaded; undefined when the store has never been reached. Never rejects. */
  get(waitUntil: (promise: Promise<unknown>) => void): Promise<T | undefined>;
  /** Loads it now. Never rejects. */
  reload(): Promise<void>;
}

/** A load that has not come back after this long is given up, and another one begins. */
const LOST_MS = 5_000;

export function createCached<T>({ load, freshMs, waitMs, now, onAway }: CachedOptions<T>): Cached<T> {
  let last: T | undefined;
  let loadedAt = Number.NEGATIVE_INFINITY;
  let askedAt = Number.NEGATIVE_INFINITY;
  let away = false;

  async function refresh(): Promise<void> {
    askedAt = now();
    try {
      last = await load();
      loadedAt = now();
      away = false;
    } catch (error) {
      if (!away) onAway(error);
      away = true;
    }
  }

  return {
    async get(waitUntil) {
      if (now() - loadedAt < freshMs) return last;
      // After a failure, or while another request loads, a value is asked for again only after a while.
      const isAsked = now() - askedAt < LOST_MS;
      if (isAsked && (last !== undefined || away)) return last;
      const refreshed = refresh();
      waitUntil(refreshed);
      if (last === undefined) {
        let timer: ReturnType<typeof setTimeout> | undefined;
        const timeout = new Promise<void>((resolve) => {
          timer = setTimeout(resolve, waitMs);
        });
        await Promise.race([refreshed, timeout]);
        clearTimeout(timer);
      }
      return last;
    },
    reload: refresh,
  };
}
