// What a stranger's request may cost: every loop whose length its content decides counts its steps here before it
// takes them, and gives the event loop its turn in between. Requests of an isolate share a thread.

/** Steps of a schema's compilation: some 200 ms. A step is some 100 ns. */
const MAX_STEPS = 2_000_000;
/** Steps between two turns of the event loop. */
const STEPS_PER_TURN = 25_000;
/** Most steps of a piece that gives no turn: some 40 ms. */
const MAX_STEPS_AT_ONCE = 400_000;

/** The steps of some work, or of a piece of it that gives no turn, are used up. */
export class WorkLimitError extends Error {
  override readonly name = "WorkLimitError";
}

export interface Work {
  /** Counts steps that are about to be taken. @throws WorkLimitError when no steps are left */
  spend(steps: number): void;
  /** Whether the event loop should have its turn now; asked again, it says no until more is done. */
  takeTurn(): boolean;
  readonly spent: number;
}

export function createWork(limit = MAX_STEPS): Work {
  let spent = 0;
  let turnAt = STEPS_PER_TURN;
  return {
    spend(steps) {
      spent += steps;
      if (spent > limit) throw new WorkLimitError(`more than ${limit} steps`);
      if (spent > turnAt + MAX_STEPS_AT_ONCE) throw new WorkLimitError(`more than ${MAX_STEPS_AT_ONCE} steps at once`);
    },
    takeTurn() {
      if (spent < turnAt) return false;
      turnAt = spent + STEPS_PER_TURN;
      return true;
    },
    get spent() {
      return spent;
    },
  };
}

/** What takes a while gives the event loop its turn in between, wherever it yields. */
export type Steps<T> = Generator<undefined, T, undefined>;

/** All of it at once. */
export function atOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** All of it, with turns for the event loop in between. */
export async function inTurns<T>(steps: Steps<T>): Promise<T> {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
    await turn();
  }
}

/** A piece of work that was dropped with its request holds the others up no longer than this. */
const DROPPED_MS = 250;

/** Settles when the piece of work before, whosever it is, has been done. */
let before: Promise<void> = Promise.resolve();

/**
 * Ends a piece of work: the event loop has its turn, and then every other piece that waited before. Pieces of many
 * requests would otherwise follow each other without one.
 */
export async function turn(): Promise<void> {
  const waitsFor = before;
  let done = (): void => {};
  before = new Promise((resolve) => {
    done = resolve;
  });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const dropped = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, DROPPED_MS);
  });
  await Promise.race([waitsFor, dropped]);
  clearTimeout(timer);
  await new Promise<void>((resolve) => setTimeout(resolve, 0));
  // Runs once the piece that begins now has ended.
  setTimeout(done, 0);
}
