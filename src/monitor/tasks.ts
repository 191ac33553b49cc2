// What the service measures by itself, and when a served result is not the recorded one. A new task is a line here.
import type { ItemResult } from "../../evaluation/metrics.ts";

export interface MonitoredTask {
  /** One of `TASKS`. */
  readonly id: string;
  /** @param sameEngine the record was made by an engine with the same digest, whose numbers are the same but for rounding */
  isDiscordant(served: ItemResult, recorded: ItemResult, sameEngine: boolean): boolean;
}

export const MONITORED: readonly MonitoredTask[] = [
  {
    id: "hellaswag",
    isDiscordant: (served, recorded) =>
      served.choice !== recorded.choice || served.choice_norm !== recorded.choice_norm,
  },
  {
    id: "wiki-heldout",
    isDiscordant(served, recorded, sameEngine) {
      const difference = Math.abs(Number(served.logLikelihood) - Number(recorded.logLikelihood));
      return !(difference <= (sameEngine ? 0.0005 : 0.02) * Math.abs(Number(recorded.logLikelihood)));
    },
  },
];
