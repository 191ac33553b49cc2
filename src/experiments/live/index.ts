// Experiments on live traffic: what of them is kept, and what goes on between requests. The statistics are the folder above.
export * from "./assignment.ts";
export * from "./change.ts";
export * from "./experiments.ts";
export * from "./feedback.ts";
export * from "./outcomes.ts";
export * from "./results.ts";
export * from "./running.ts";
export * from "./spec.ts";
export * from "./store.ts";
export * from "./stored.ts";
export { weightsOf } from "./verdicts.ts";
