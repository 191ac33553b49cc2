// How long a generation would wait, from the work that is left of those before it and how fast work goes here; and
// when that is too long for it to be queued.
import type { Generation } from "./generation.ts";
import type { Job } from "./job.ts";
import { shareKey, unitsAhead } from "./shares.ts";

/** A generation is not queued: its own key has too much under way, or all keys together do. */
export interface Refusal {
  readonly because: "key" | "all";
  readonly waitMs: number;
  /** When one like it will be queued. */
  readonly retryMs: number;
}

/** Longest predicted wait that a generation is queued for. */
const MOST_WAIT_MS = 60_000;
/** A key that was refused is taken again when it would wait no longer than this: what it is told is then worth a wait. */
const TAKEN_AGAIN_MS = 45_000;
/** A key that had something to do for so long is taken to go on asking. */
const STEADY_MS = 5_000;
/** Most generations under way: each holds its prompt. */
const MOST_JOBS = 256;
/** Until something is known. */
const FIRST_MS_PER_UNIT = 5;
const FIRST_TOKENS = 128;
/** Weight of the latest observation in a mean. */
const LATEST = 0.05;

export interface Forecast {
  /** A step of so much work took so long. */
  stepped(units: number, ms: number): void;
  /** An answer had this many tokens. */
  ended(tokens: number): void;
  refusal(jobs: readonly Job[], asking: Pick<Generation, "scope" | "background">, now: number): Refusal | undefined;
  /** A key has something to do, after a while without. */
  began(key: string, now: number): void;
}

/** @param maxRunning with as many of its own under way, a key that has to wait waits for itself */
export function createForecast(maxRunning: number): Forecast {
  let msPerUnit = FIRST_MS_PER_UNIT;
  let meanTokens = FIRST_TOKENS;
  const refused = new Set<string>();
  /** Since when keys have had something to do all the time. */
  const since = new Map<string, number>();
  return {
    stepped(units, ms) {
      // The clock stands still during a deployed Worker's computation, and then shows nothing.
      if (ms > 0) msPerUnit += LATEST * (ms / units - msPerUnit);
    },
    ended(tokens) {
      meanTokens += LATEST * (tokens - meanTokens);
    },
    began: (key, now) => void since.set(key, now),
    refusal(jobs, { scope, background }, now) {
      const key = shareKey(scope, background);
      const work = new Map<string, number>();
      let own = 0;
      for (const job of jobs) {
        if (job.over || job.pausedAt !== undefined) continue;
        if (job.key === key) own++;
        work.set(job.key, (work.get(job.key) ?? 0) + job.unitsLeft(meanTokens));
      }
      const isSteady = (other: string): boolean => now - (since.get(other) ?? now) > STEADY_MS;
      const waitMs = unitsAhead(work, key, isSteady) * msPerUnit;
      const isLong = waitMs > (refused.has(key) ? TAKEN_AGAIN_MS : MOST_WAIT_MS);
      if (!isLong) refused.delete(key);
      if (!isLong && jobs.length < MOST_JOBS) return undefined;
      if (isLong) refused.add(key);
      const retryMs = isLong ? waitMs - TAKEN_AGAIN_MS : waitMs / jobs.length;
      return { because: own >= maxRunning ? "key" : "all", waitMs, retryMs };
    },
  };
}
