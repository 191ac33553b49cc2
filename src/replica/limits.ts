// What both sides of a replica know of it: its callers reckon with it.

/** Sequences that one engine steps together. */
export const MAX_RUNNING = 4;
