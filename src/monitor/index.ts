// The door of what the service measures by itself.
export { createMonitor, type Monitor } from "./monitor.ts";
export type { RecordedFile, RecordedScore, RecordedScores } from "./recorded.ts";
export type { SamplesFile } from "./samples.ts";
export { createScoreboard, type Quarantine, type Quarantines, type Scoreboard } from "./scoreboard.ts";
export { metricsOf, type RunRow } from "./store.ts";
export { MONITORED } from "./tasks.ts";
