// The requests that this isolate has at a replica, and how many others the replica has told of.
import { dueAt, type TimeAllowed } from "../scheduler/index.ts";
import { type Costs, type Pace, REFERENCE_PACE } from "./costs.ts";
import { type Load, loadOf, type UnderWay } from "./load.ts";

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
  /** When its last token came. */
  lastAt: number | undefined;
  /** When a more urgent request came. */
  overtakenAt: number | undefined;
  tokens: number;
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
  const all = new Set<Sent>();
  let foreign = { requests: 0, at: Number.NEGATIVE_INFINITY };
  let lastFirstToken = Number.NEGATIVE_INFINITY;
  return {
    load(now) {
      const entries: UnderWay[] = [];
      // Prompts go in one after the other, in the order in which they came.
      let begun = lastFirstToken;
      for (const sent of all) {
        const { promptTokens, sentAt: askedAt, tokens, lastAt } = sent;
        const prefilled = tokens > 0 ? promptTokens : prefilledOf(sent, now - Math.max(askedAt, begun));
        entries.push({ ...sent, running: prefilled > 0, prefilled, askedAt, steppedAt: lastAt ?? askedAt });
        if (tokens === 0) begun = Number.POSITIVE_INFINITY;
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
      const due = dueOf(sent, now);
      for (const other of all) if (due < dueOf(other, now)) other.overtakenAt ??= now;
      all.add(sent);
    },
    token(sent, now) {
      sent.lastAt = now;
      if (sent.tokens++ > 0) return;
      sent.firstAt = now;
      lastFirstToken = now;
    },
    remove: (sent) => void all.delete(sent),
    told(requests, ours, now) {
      foreign = { requests: Math.max(0, requests - ours), at: now };
    },
  };
}

const dueOf = (sent: Sent, now: number): number => dueAt({ ...sent, askedAt: sent.sentAt }, now);

/** Tokens of a prompt that have probably gone in within a time. It is never quite done before its first token is here. */
function prefilledOf({ costs, pace, promptTokens }: Sent, ms: number): number {
  const tokens = Math.max(0, ms) / (pace.prefill * (costs.prefillMs + (promptTokens / 2) * costs.contextMs));
  return Math.floor(Math.min(0.9 * promptTokens, tokens));
}
