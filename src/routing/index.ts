// The door of routing: which variant answers, and why.
export { type Archive, createArchive } from "./archive.ts";
export type { Lost, Verdict } from "./assess.ts";
export { type Budget, hasLimit, LIMITS, type Limit, NO_BUDGET, type Preference, timeLeft } from "./budget.ts";
export { costsOf, stepTime } from "./costs.ts";
export type { Decision, Rule } from "./decide.ts";
export { LEVELS, METRICS } from "./latency.ts";
export { createQualityBook, type QualityBook, type Recorded } from "./quality.ts";
export { budgetOnWire, type DecisionRecord, type Outcome } from "./record.ts";
export { qualitiesOf } from "./recorded.ts";
export type { ReplicaNews, Routed } from "./routed.ts";
export { createRouter, type RoutedArm, type Router, type RouterOptions } from "./router.ts";
export type { RouterStore } from "./store.ts";
