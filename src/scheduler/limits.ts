// What both sides of a replica know of it: its callers reckon with it.

/** Sequences that one engine steps together; those that hurry go one by one, and may be as many again. */
export const MAX_RUNNING = 4;
