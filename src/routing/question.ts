// What is asked when a variant is to be chosen.
import type { Budget } from "./budget.ts";
import type { Costs } from "./costs.ts";
import type { Overtaking, Profile, Work } from "./latency.ts";
import type { Load } from "./load.ts";
import type { Crowding } from "./others.ts";
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
  /** Share of the requests with a limit in time that try another variant than the best. */
  readonly explore: number;
  /** Share of the greatest expected usefulness by which such a variant may be less useful. */
  readonly exploreWithin: number;
  /** Within this share of the greatest expected usefulness, the surest answers. */
  readonly near: number;
  /** The best variant answers unless another is more useful by this: of many estimates, the greatest is mostly too great. */
  readonly margin: number;
  /**
   * What is charged of the usefulness that an answer is expected to take from later requests. Some of them are more urgent
   * than the answer, and go before it: all of it would be too much.
   */
  readonly others: number;
  /**
   * The exchange rate between quality and computation: among variants that no recorded measure tells apart, a hundredth of the
   * base's quality is given up for a tenth less computation.
   */
  readonly exchange: number;
}

export const POLICY: Policy = {
  explore: 0.02,
  exploreWithin: 0.1,
  near: 0.05,
  margin: 0.04,
  others: 0.5,
  exchange: 0.1,
};

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
  readonly overtaking: Overtaking;
  readonly qualities: QualityBook;
  /** Probability with which a budget that is a promise is to be kept, unless it says. */
  readonly quantile: number;
  /** Serves whatever the budget says. */
  readonly pinned?: string | undefined;
  /** What variants are ranked by. Default: what the budget asks for. */
  readonly measure?: Measure | undefined;
  /** What served this caller's last request with the same budget. */
  readonly incumbent?: string | undefined;
  readonly policy?: Policy;
}
