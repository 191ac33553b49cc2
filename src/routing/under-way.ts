// The requests that this isolate has at a replica, and how many others the replica has told of.
import { type Dues, duesOf, PATIENT, type TimeAllowed } from "../engine/turns.ts";
import type { Costs } from "./costs.ts";
import { type Load, loadOf, type UnderWay } from "./load.ts";

/** What a replica told of itself counts this long. */
const TOLD_MS = 2_000;
/** What a request of another isolate is taken to be, of which only the number is known: half way through an answer of this length. */
const TYPICAL = { promptTokens: 128, expectedTokens: 64, tokens: 32, dues: PATIENT } as const;

export interface Sent {
  readonly costs: Costs;
  readonly promptTokens: number;
  readonly expectedTokens: number;
  readonly maxTokens: number;
  readonly allowed: TimeAllowed;
  readonly sentAt: number;
  firstAt: number | undefined;
  tokens: number;
}

export interface Board {
  /**
   * What comes before a request that is due then.
   * @param speed actual milliseconds of prefill to those of the reference machine
   */
  load(now: number, speed: number, mine: Dues): Load;
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
    load(now, speed, mine) {
      const entries: UnderWay[] = [];
      // Prompts go in one after the other, in the order in which they came.
      let begun = lastFirstToken;
      for (const sent of all) {
        const { costs, promptTokens, expectedTokens, sentAt, tokens } = sent;
        const sinceMs = Math.max(0, now - Math.max(sentAt, begun)) / speed;
        const dues = duesOf({ ...sent, askedAt: sentAt }, now);
        entries.push({ costs, promptTokens, expectedTokens, tokens, sinceMs, dues });
        if (tokens === 0) begun = Number.POSITIVE_INFINITY;
      }
      const others = now - foreign.at < TOLD_MS ? foreign.requests : 0;
      for (let i = 0; i < others; i++) entries.push({ ...TYPICAL, costs: typical, sinceMs: 0 });
      return loadOf(entries, mine);
    },
    get count() {
      return all.size;
    },
    add: (sent) => void all.add(sent),
    token(sent, now) {
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
