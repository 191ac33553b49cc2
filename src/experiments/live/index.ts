// Experiments on live traffic: what of them is kept, and what goes on between requests. The statistics are the folder above.
export * from "./outcomes.ts";
export * from "./running.ts";
export * from "./spec.ts";
export * from "./stored.ts";
