// Whose turn it is on an engine. Generations that hurry go one by one, the earliest deadline first (Liu and Layland, Scheduling Algorithms
// for Multiprogramming in a Hard-Real-Time Environment, Journal of the ACM 20(1), 1973, section 7); the others share the time between.
// The replica goes by these rules, and the gateway plays them forward to foretell its times (src/routing/load.ts).

/** Milliseconds that a generation may take from when it is asked for. What is undefined is not limited. */
export interface TimeAllowed {
  /** To the last token. */
  readonly latencyMs?: number | undefined;
  /** To the first token. */
  readonly ttftMs?: number | undefined;
  /** Mean between tokens. */
  readonly tpotMs?: number | undefined;
}

/** How far a generation has come; times are milliseconds of one clock. */
export interface Progress {
  readonly allowed: TimeAllowed | undefined;
  readonly askedAt: number;
  /** When its first token came; undefined before. */
  readonly firstAt: number | undefined;
  /** Tokens so far. */
  readonly tokens: number;
  readonly maxTokens: number;
}

/** A deadline further off does not hurry a generation yet: until then it shares as those without one do. */
const HORIZON_MS = 5_000;
/** Those that do not hurry take a turn at least this often. */
const PATIENCE_MS = 1_000;

/** When the next step is due; infinite where nothing hurries: no limit, one that is far off, or one that cannot be met any more. */
export function dueAt({ allowed, askedAt, firstAt, tokens, maxTokens }: Progress, now: number): number {
  let due = Number.POSITIVE_INFINITY;
  const limit = (at: number, lostAt = at): void => {
    if (now <= lostAt && at < due && at - now <= HORIZON_MS) due = at;
  };
  if (allowed?.latencyMs !== undefined) limit(askedAt + allowed.latencyMs);
  if (firstAt === undefined) {
    if (allowed?.ttftMs !== undefined) limit(askedAt + allowed.ttftMs);
  } else if (allowed?.tpotMs !== undefined) {
    limit(firstAt + tokens * allowed.tpotMs, firstAt + Math.max(tokens, maxTokens - 1) * allowed.tpotMs);
  }
  return due;
}

/** Most generations that may hold a sequence for another one to get one, too: those that do not hurry never keep the others out. */
export const placesFor = (due: number, maxRunning: number): number =>
  due === Number.POSITIVE_INFINITY ? maxRunning : 2 * maxRunning;

/** One of those that wait for a turn. */
export interface Waiting {
  /** As `dueAt` has it. */
  due(now: number): number;
  /** When it had its last turn, or was asked for. */
  readonly steppedAt: number;
}

/** The one that hurries most; undefined when none does. The first among equals. */
export function mostUrgent<T extends Waiting>(waiting: readonly T[], now: number): T | undefined {
  let first: T | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const entry of waiting) {
    const due = entry.due(now);
    if (due < least) [first, least] = [entry, due];
  }
  return first;
}

/** The one that gets the next free place: the most urgent of the queue, or its head; undefined when there is no place for it. */
export function nextAdmitted<T extends Waiting>(
  queue: readonly T[],
  running: number,
  now: number,
  maxRunning: number,
): T | undefined {
  const first = mostUrgent(queue, now) ?? queue[0];
  return first && running < placesFor(first.due(now), maxRunning) ? first : undefined;
}

/** Those whose turn it is: one that hurries, or all that do not. */
export function turnOf<T extends Waiting>(waiting: readonly T[], now: number): readonly T[] {
  const urgent = mostUrgent(waiting, now);
  if (!urgent) return waiting;
  const patient = waiting.filter((entry) => entry.due(now) === Number.POSITIVE_INFINITY);
  return patient.some(({ steppedAt }) => now - steppedAt > PATIENCE_MS) ? patient : [urgent];
}

/** Those that step in the next round: of those whose turn it is, each that decodes and the first whose prompt is on its way in. */
export function steppingOf<T extends Waiting & { readonly decoding: boolean }>(
  running: readonly T[],
  now: number,
): T[] {
  const turn = turnOf(running, now);
  const prefilling = turn.find(({ decoding }) => !decoding);
  return turn.filter((entry) => entry.decoding || entry === prefilling);
}
