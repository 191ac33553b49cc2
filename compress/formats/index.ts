// Checkpoints in and out, whatever file they lie in.
export { openCheckpoint } from "./open.ts";
