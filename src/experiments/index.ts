// A/B experiments: who sees what, and what can be said about it at any time. Pure: stores and routes are elsewhere.
export * from "./analysis.ts";
export * from "./assign.ts";
export * from "./audience.ts";
export * from "./decide.ts";
export * from "./layout.ts";
export * from "./metrics.ts";
export * from "./report.ts";
export * from "./report-svg.ts";
export * from "./schema.ts";
export type { Verdict } from "./stats/interval.ts";
export * from "./units.ts";
