// What is asked when a variant is to be chosen.
import type { Budget } from "./budget.ts";
import type { Costs } from "./costs.ts";
import type { Crowding } from "./headroom.ts";
import type { Profile, Work } from "./latency.ts";
import type { Load } from "./load.ts";
import type { Measure, QualityBook } from "./quality.ts";

/** A variant that may answer. */
export interface Candidate {
  readonly variant: string;
  readonly costs: Costs;
  readonly status: "stable" | "experimental" | "research";
  /** Most tokens of prompt and reply together. */
  readonly capacity: number;
  readonly quarantined: boolean;
}

export interface Policy {
  /** Share of requests, of those that have a choice, that try another variant than the best. */
  readonly explore: number;
  /** Points of acc_norm by which such a variant may be worse than the best. */
  readonly exploreWithin: number;
  /**
   * Points of acc_norm that a better answer to a request with a limit in time is to bring for each other request that it is expected to
   * keep from its budget. That expectation is too high, because what hurries more than the answer goes before it.
   */
  readonly price: number;
  /** A better variant takes over from the one that served last only if it keeps below the budget by this share. */
  readonly margin: number;
}

export const POLICY: Policy = { explore: 0.02, exploreWithin: 2, price: 1000, margin: 0.1 };

export interface Question {
  /** Seeds the exploration: the same id gets the same answer. Not a client's. */
  readonly requestId: string;
  readonly work: Work;
  /** Tokens that prompt and reply must have room for. */
  readonly needed: number;
  readonly budget: Budget;
  /** Milliseconds of the budget's times that have gone by. */
  readonly elapsedMs: number;
  /** In the order in which they are listed, the base first. */
  readonly candidates: readonly Candidate[];
  readonly load: Load;
  readonly profile: Profile;
  readonly crowding: Crowding;
  readonly qualities: QualityBook;
  /** Serves whatever the budget says. */
  readonly pinned?: string | undefined;
  /** What variants are ranked by. Default: what the budget asks for. */
  readonly measure?: Measure | undefined;
  /** What served this caller's last request with the same budget. */
  readonly incumbent?: string | undefined;
  readonly policy?: Policy;
}
