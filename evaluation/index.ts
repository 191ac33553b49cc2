// What both the gateway and offline runs need of evaluations: tasks, metrics, recorded scores. Nothing
// here or in tasks/ reads a disk; what does is in offline/. A replica, which only computes what a task
// asks, imports src/scoring alone.
export type { ItemResults } from "./compare.ts";
export { formatItems, parseItems, sampleOf } from "./items.ts";
export { aggregate, type ItemResult, type Metric, type MetricRule, type Metrics } from "./metrics.ts";
export { parseRecordedScore, type RecordedScore, recordScore } from "./recorded.ts";
export { SOURCES, type Source, type SourceId } from "./sources.ts";
export type { Item, Task, TaskTools } from "./task.ts";
export { TASKS } from "./tasks/index.ts";
export { createTaskTools } from "./tools.ts";
