// Public API of the scheduler: a replica runs generations with it, and routing predicts with the
// same rules.
export { type Batcher, createBatcher, GaveWayError, type Submitted } from "./batch.ts";
export { MAX_RUNNING } from "./limits.ts";
export type { Applicant, Served } from "./shares.ts";
export { admissible, dueAt, steppingOf, type TimeAllowed, type Waiting } from "./turns.ts";
export type { Refusal } from "./wait.ts";
