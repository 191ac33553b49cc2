// The door of scores for whoever has a tokenizer: offline, and in the gateway. A replica imports scorer.ts and engine-scorer.ts alone.
export { type Comparison, compare, type ItemResults } from "./compare.ts";
export { variantDigest } from "./digest.ts";
export { formatItems, parseItems, sampleOf } from "./items.ts";
export { aggregate, type ItemResult, type Metric, type MetricRule, type Metrics } from "./metrics.ts";
export { parseRecordedScore, type RecordedScore, recordScore } from "./recorded.ts";
export * from "./scorer.ts";
export { SOURCES, type Source, type SourceId } from "./sources.ts";
export type { Item, Task, TaskTools } from "./task.ts";
export { TASKS } from "./tasks/index.ts";
export { createTaskTools } from "./tools.ts";
