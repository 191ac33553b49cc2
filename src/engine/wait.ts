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
  refusal(jobs: readonly Job[], asking: Pick<Generation, "scope" | "background">): Refusal | undefined;
}

/** @param maxRunning as many of a key are never refused: each has a place at once */
export function createForecast(maxRunning: number): Forecast {
  let msPerUnit = FIRST_MS_PER_UNIT;
  let meanTokens = FIRST_TOKENS;
  return {
    stepped(units, ms) {
      // The clock stands still during a deployed Worker's computation, and then shows nothing.
      if (ms > 0) msPerUnit += LATEST * (ms / units - msPerUnit);
    },
    ended(tokens) {
      meanTokens += LATEST * (tokens - meanTokens);
    },
    refusal(jobs, { scope, background }) {
      const key = shareKey(scope, background);
      const work = new Map<string, number>();
      let own = 0;
      for (const job of jobs) {
        if (job.over || job.pausedAt !== undefined) continue;
        if (job.key === key) own++;
        work.set(job.key, (work.get(job.key) ?? 0) + job.unitsLeft(meanTokens));
      }
      const waitMs = unitsAhead(work, key) * msPerUnit;
      const isFlood = own >= maxRunning;
      if (waitMs > MOST_WAIT_MS) return { because: isFlood ? "key" : "all", waitMs, retryMs: waitMs - MOST_WAIT_MS };
      if (jobs.length < MOST_JOBS) return undefined;
      return { because: own > MOST_JOBS / 2 ? "key" : "all", waitMs, retryMs: waitMs / jobs.length };
    },
  };
}
