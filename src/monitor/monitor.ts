// What the gateway's clock calls: one slice at a time, and whatever goes wrong ends in the log, not in the clock.
import { createSamples } from "./samples.ts";
import type { Scoreboard } from "./scoreboard.ts";
import { type MonitorSettings, measureSlice, type MonitorOptions as SliceOptions } from "./slice.ts";

export interface MonitorOptions extends Omit<SliceOptions, "db" | "recorded" | "samples" | "settings"> {
  readonly scores: Scoreboard;
  readonly db: D1Database | undefined;
  /** May throw: a mistake in a variable stops the measuring, with a line in the log, and nothing else. */
  settings(): MonitorSettings;
  /** dist/samples.bin */
  readonly samples: ArrayBuffer;
}

export interface Monitor {
  /** Measures a slice; does nothing while another one is under way in this isolate. Never rejects. */
  slice(): Promise<void>;
}

/** A slice that has not ended after this long was cut off together with the event that called for it. */
const LOST_MS = 10 * 60_000;

export function createMonitor({
  scores,
  samples: packed,
  db,
  settings: readSettings,
  ...options
}: MonitorOptions): Monitor {
  const { log, now } = options;
  const samples = createSamples(packed);
  let since: number | undefined;
  return {
    async slice() {
      if (since !== undefined && now() - since < LOST_MS) return;
      since = now();
      try {
        const settings = readSettings();
        if (settings.itemsPerSlice === 0) return;
        if (!db) throw new Error("no D1 database is bound as DB");
        await measureSlice({ ...options, settings, db, samples, recorded: scores.recorded });
      } catch (error) {
        log({ event: "measuring_failed", message: error instanceof Error ? error.message : String(error) });
      } finally {
        since = undefined;
      }
    },
  };
}
