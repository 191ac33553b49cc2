// The door of what the service measures by itself.
export { createRecordedScores, type RecordedFile, type RecordedScore, type RecordedScores } from "./recorded.ts";
export { createSamples } from "./samples.ts";
export { createScoreboard, type Quarantine, type Quarantines, type Scoreboard } from "./scoreboard.ts";
export { monitorSettings } from "./settings.ts";
export { type MonitorOptions, measureSlice } from "./slice.ts";
export { metricsOf, type RunRow } from "./store.ts";
