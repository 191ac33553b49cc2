// Whose turn it is on an engine. Generations that hurry go one by one, the earliest deadline first (Liu and Layland, Scheduling Algorithms
// for Multiprogramming in a Hard-Real-Time Environment, Journal of the ACM 20(1), 1973, section 7); the others share the time between.
// The replica goes by these rules, and the gateway plays them forward to foretell its times (src/routing/load.ts).
import { type Applicant, admissionOrder, LOAN, leastOf, QUANTUM, type Served, servedOf } from "./shares.ts";

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

/** Most generations of a key that may hold a sequence for another one to get one, too: those that do not hurry never keep the others out. */
export const placesFor = (due: number, maxRunning: number): number =>
  due === Number.POSITIVE_INFINITY ? maxRunning : 2 * maxRunning;

/** Keys that may hold all their places at a time. */
const MOST_KEYS = 4;

/**
 * Those of the queue that there is a place for, in the order in which they are tried.
 * @param queue in the order in which they came
 * @param holders those that have a sequence, of all keys
 */
export function admissible<T extends Applicant>(
  queue: readonly T[],
  holders: readonly { readonly key: string }[],
  served: Served,
  now: number,
  maxRunning: number,
): T[] {
  const held = new Map<string, number>();
  for (const { key } of holders) held.set(key, (held.get(key) ?? 0) + 1);
  return admissionOrder(queue, served, now, ({ key }, due) => {
    const places = placesFor(due, maxRunning);
    return holders.length < MOST_KEYS * places && (held.get(key) ?? 0) < places;
  });
}

/** One of those that wait for a turn. */
export interface Waiting {
  /** Whose share its work is of, as `shareKey` says it. */
  readonly key: string;
  /** Its prompt is computed: a step is one token. */
  readonly decoding: boolean;
  /** As `dueAt` has it. */
  due(now: number): number;
  /** When it had its last turn, or was asked for. */
  readonly steppedAt: number;
}

/** The one that hurries most; undefined when none does. The first among equals. */
export function mostUrgent<T extends Pick<Waiting, "due">>(waiting: readonly T[], now: number): T | undefined {
  let first: T | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const entry of waiting) {
    const due = entry.due(now);
    if (due < least) [first, least] = [entry, due];
  }
  return first;
}

/**
 * The prompt that goes on: of the key that was given least, and among equals of the one that had its turn longest ago, so that a
 * newcomer does not wait for another chunk of those that were there. Prompts of one key go in one after the other.
 */
function prefillOf<T extends Waiting>(turn: readonly T[], aheadOf: (entry: T) => number): T | undefined {
  const least = Math.min(...turn.map(aheadOf));
  const lastTurn = new Map<string, number>();
  for (const { key, steppedAt } of turn) lastTurn.set(key, Math.max(lastTurn.get(key) ?? 0, steppedAt));
  let first: T | undefined;
  for (const entry of turn) {
    if (entry.decoding || aheadOf(entry) > least) continue;
    if (!first || (lastTurn.get(entry.key) ?? 0) < (lastTurn.get(first.key) ?? 0)) first = entry;
  }
  return first;
}

/**
 * Those that step in the next round: one that hurries, as long as its key is not too far ahead of others, or a batch. A batch
 * has who decodes, of keys that are at most a quantum ahead, and one prompt of a key that was given least.
 * @param waiting in the order in which they came
 * @param rows most of a batch that decode
 */
export function steppingOf<T extends Waiting>(waiting: readonly T[], served: Served, now: number, rows: number): T[] {
  const least = leastOf(
    served,
    waiting.map(({ key }) => key),
  );
  const aheadOf = ({ key }: T): number => servedOf(served, key) - least;
  const urgent = mostUrgent(
    waiting.filter((entry) => aheadOf(entry) <= LOAN),
    now,
  );
  const even = waiting.filter((entry) => aheadOf(entry) <= QUANTUM);
  const patient = even.filter((entry) => entry.due(now) === Number.POSITIVE_INFINITY);
  if (urgent && !patient.some(({ steppedAt }) => now - steppedAt > PATIENCE_MS)) return [urgent];
  const turn = urgent ? patient : even;
  const decoding = turn
    .filter((entry) => entry.decoding)
    .toSorted((a, b) => aheadOf(a) - aheadOf(b) || a.steppedAt - b.steppedAt);
  const prefill = prefillOf(turn, aheadOf);
  const chosen = new Set([...decoding.slice(0, rows), ...(prefill ? [prefill] : [])]);
  return turn.filter((entry) => chosen.has(entry));
}
