// This isolate's copy of what has been learnt: old by a second or so, refreshed beside the requests and never before them, unless there is
// none yet. Without the store, the last copy or the plans' costs serve.
import { newState, type RouterState } from "./state.ts";
import type { Report, RouterStore } from "./store.ts";

/** An older copy is refreshed, after the request that found it old. */
const FRESH_MS = 1_000;
/** An isolate that has no copy, or one older than `STALE_MS`, waits for one this long at most. */
const WAIT_MS = 50;
const STALE_MS = 60_000;
/** A call to the store that has not come back is given up: the request that made it may be gone, and its calls with it. */
const LOST_MS = 5_000;
/** Reports that wait for a store that is away; more are dropped. */
const MOST_WAITING = 200;

export interface SnapshotOptions {
  /** The store, found anew for each call: a Durable Object's stub belongs to the event in which it was made. */
  store(): RouterStore;
  now(): number;
  /** Told once when the store cannot be reached, and again only after it could. */
  onAway(error: unknown): void;
}

export interface Snapshot {
  /** The state, and when it was fetched; refreshes it in `waitUntil` when it is old. */
  get(waitUntil: (promise: Promise<unknown>) => void): Promise<{ readonly state: RouterState; readonly at: number }>;
  /** Passes a report on, together with what else has gathered. Never rejects. */
  report(report: Report): Promise<void>;
}

export function createSnapshot({ store, now, onAway }: SnapshotOptions): Snapshot {
  let current = { state: newState(), at: Number.NEGATIVE_INFINITY };
  let refreshing: { readonly since: number } | undefined;
  let sending: { since: number } | undefined;
  let away = false;
  const waiting: Report[] = [];

  const failed = (error: unknown): void => {
    if (!away) onAway(error);
    away = true;
  };
  async function refresh(): Promise<void> {
    const mine = { since: now() };
    refreshing = mine;
    try {
      current = { state: await store().snapshot(), at: now() };
      away = false;
    } catch (error) {
      failed(error);
    } finally {
      if (refreshing === mine) refreshing = undefined;
    }
  }

  return {
    async get(waitUntil) {
      const age = now() - current.at;
      if (age > FRESH_MS && !(refreshing && now() - refreshing.since < LOST_MS)) {
        const refreshed = refresh();
        waitUntil(refreshed);
        if (age > STALE_MS && !away) {
          let timer: ReturnType<typeof setTimeout> | undefined;
          const timeout = new Promise<void>((resolve) => {
            timer = setTimeout(resolve, WAIT_MS);
          });
          await Promise.race([refreshed, timeout]);
          clearTimeout(timer);
        }
      }
      return current;
    },
    async report(report) {
      waiting.push(report);
      if (waiting.length > MOST_WAITING) waiting.shift();
      if (sending && now() - sending.since < LOST_MS) return;
      const mine = { since: now() };
      sending = mine;
      while (waiting.length > 0 && sending === mine) {
        mine.since = now();
        const batch = waiting.splice(0);
        try {
          await store().report(batch);
        } catch (error) {
          failed(error);
          waiting.unshift(...batch);
          waiting.splice(0, Math.max(0, waiting.length - MOST_WAITING));
          break;
        }
      }
      if (sending === mine) sending = undefined;
    },
  };
}
