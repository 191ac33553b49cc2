// The requests that this isolate has at a replica, and how many others the replica has told of.
import { dueAt, MAX_RUNNING, steppingOf, type TimeAllowed } from "../scheduler/index.ts";
import { type Costs, chunkTime, type Pace, REFERENCE_PACE, stepTime } from "./costs.ts";
import { CHUNK, EVEN, type Load, loadOf, type UnderWay } from "./load.ts";

/** What a replica told of itself counts this long. */
const TOLD_MS = 2_000;
/** What a request of another isolate is taken to be, of which only the number is known: half way through an answer of this length. */
const TYPICAL = {
  running: true,
  promptTokens: 128,
  prefilled: 128,
  expectedTokens: 64,
  maxTokens: 64,
  tokens: 32,
  allowed: {},
  worth: 0,
} as const;

export interface Sent {
  readonly costs: Costs;
  readonly pace: Pace;
  readonly promptTokens: number;
  readonly expectedTokens: number;
  readonly maxTokens: number;
  readonly allowed: TimeAllowed;
  readonly sentAt: number;
  /** What its answer is worth in time; 0 without a limit. */
  readonly worth: number;
  firstAt: number | undefined;
  /** When a more urgent request came. */
  overtakenAt: number | undefined;
  tokens: number;
}

/** How far a request has probably come. */
interface Followed {
  readonly sent: Sent;
  /** Prompt tokens that have been taken in. */
  prefilled: number;
  /** When it had its last turn, or was asked for. */
  steppedAt: number;
  /** A step of its prompt was broken off, and lost: the next one is not. */
  interrupted: boolean;
}

export interface Board {
  /** What is there. */
  load(now: number): Load;
  readonly count: number;
  add(sent: Sent): void;
  token(sent: Sent, now: number): void;
  remove(sent: Sent): void;
  /** Notes how many requests the replica has, and how many of this isolate's were there when it was asked. */
  told(requests: number, ours: number, now: number): void;
}

/** @param typical costs of the variant that other isolates' requests are taken to use */
export function createBoard(typical: Costs): Board {
  const all = new Map<Sent, Followed>();
  let foreign = { requests: 0, at: Number.NEGATIVE_INFINITY };
  let playedTo = Number.NEGATIVE_INFINITY;
  /** Whose turn it is, by the scheduler's own rules. */
  const steppingAt = (now: number): Followed[] => {
    const waiting = [...all.values()].map((followed) => ({
      followed,
      key: "",
      decoding: followed.sent.tokens > 0,
      steppedAt: followed.steppedAt,
      due: (at: number) => dueOf(followed.sent, at),
    }));
    return steppingOf(waiting, EVEN, now, 2 * MAX_RUNNING).map(({ followed }) => followed);
  };
  const promptAt = (now: number): Followed | undefined => steppingAt(now).find(({ sent }) => sent.tokens === 0);
  /** Only tokens are heard of: prompts go in meanwhile, in the order of the scheduler. */
  const playTo = (now: number): void => {
    const [then, ms] = [playedTo, now - playedTo];
    playedTo = Math.max(playedTo, now);
    if (all.size === 0 || !(ms > 0)) return;
    const stepping = steppingAt(then);
    const prompt = stepping.find(({ sent }) => sent.tokens === 0);
    if (!prompt) return;
    const chunk = Math.min(CHUNK, prompt.sent.promptTokens - prompt.prefilled);
    const round = stepping.reduce((sum, followed) => sum + roundTime(followed, chunk), 0);
    // It is never quite done before its first token is here.
    prompt.prefilled = Math.min(MOST * prompt.sent.promptTokens, prompt.prefilled + (ms / round) * chunk);
    prompt.steppedAt = now;
  };
  return {
    load(now) {
      playTo(now);
      const entries: UnderWay[] = [];
      for (const { sent, prefilled, steppedAt } of all.values()) {
        const taken = sent.tokens > 0 ? sent.promptTokens : Math.floor(prefilled);
        entries.push({ ...sent, running: taken > 0, prefilled: taken, askedAt: sent.sentAt, steppedAt });
      }
      const others = now - foreign.at < TOLD_MS ? foreign.requests : 0;
      const unknown = { ...TYPICAL, costs: typical, pace: REFERENCE_PACE };
      for (let i = 0; i < others; i++) entries.push({ ...unknown, askedAt: now, firstAt: now, steppedAt: now });
      return loadOf(entries, now);
    },
    get count() {
      return all.size;
    },
    add(sent) {
      const now = sent.sentAt;
      playTo(now);
      const due = dueOf(sent, now);
      for (const other of all.keys()) if (due < dueOf(other, now)) other.overtakenAt ??= now;
      const prompt = all.size > 0 ? promptAt(now) : undefined;
      if (prompt && !prompt.interrupted && due < dueOf(prompt.sent, now)) {
        prompt.interrupted = true;
        prompt.prefilled = Math.floor(prompt.prefilled / CHUNK) * CHUNK;
      }
      all.set(sent, { sent, prefilled: 0, steppedAt: now, interrupted: false });
    },
    token(sent, now) {
      playTo(now);
      const followed = all.get(sent);
      if (followed) followed.steppedAt = now;
      if (sent.tokens++ === 0) sent.firstAt = now;
    },
    remove(sent) {
      all.delete(sent);
    },
    told(requests, ours, now) {
      foreign = { requests: Math.max(0, requests - ours), at: now };
    },
  };
}

const dueOf = (sent: Sent, now: number): number => dueAt({ ...sent, askedAt: sent.sentAt }, now);

/** The share of a prompt that is taken to be in before its first token is here. */
const MOST = 0.9;

/** Milliseconds of one request in a round that takes in so many tokens of a prompt. */
function roundTime({ sent, prefilled }: Followed, chunk: number): number {
  const { costs, pace, promptTokens, tokens } = sent;
  if (tokens > 0) return pace.decode * stepTime(costs, promptTokens + tokens);
  return chunkTime(costs, pace, prefilled, chunk, prefilled + chunk >= promptTokens);
}
