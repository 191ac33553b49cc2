// How much the service measures, from the gateway's variables.
import type { MonitorSettings } from "./slice.ts";

interface Variables {
  readonly SCORES_ITEMS_PER_SLICE?: string;
  readonly SCORES_ITEMS_PER_RUN?: string;
  readonly SCORES_NULL_RATE?: string;
}

/** @throws Error that names the variable that is no number or out of its range */
export function monitorSettings(env: Variables): MonitorSettings {
  const read = (
    name: keyof Variables,
    fallback: number,
    isAllowed: (value: number) => boolean,
    range: string,
  ): number => {
    const text = env[name]?.trim() || String(fallback);
    const value = Number(text);
    if (!isAllowed(value)) throw new Error(`${name} is ${text}; it must be ${range}`);
    return value;
  };
  const whole = (least: number) => (value: number) => Number.isInteger(value) && value >= least;
  return {
    itemsPerSlice: read("SCORES_ITEMS_PER_SLICE", 5, whole(0), "a whole number from 0, which switches measuring off"),
    itemsPerRun: read("SCORES_ITEMS_PER_RUN", 200, whole(1), "a whole number from 1"),
    nullRate: read("SCORES_NULL_RATE", 0.001, (value) => value > 0 && value <= 0.5, "a number above 0 and up to 0.5"),
  };
}
