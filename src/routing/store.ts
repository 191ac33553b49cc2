// What outlives an isolate: learnt state and recent decisions. The Durable Object in router-object.ts keeps it; a test may stand in.
import { learnArrival, type Newcomer } from "./others.ts";
import type { DecisionRecord } from "./record.ts";
import { learnFrom, type Observation, type RouterState } from "./state.ts";

/** A decision as it was made or, later, as it came out; of one id, the last report counts. */
export interface Report {
  readonly key: string;
  readonly record: DecisionRecord;
  /** With the first report. */
  readonly arrival?: Newcomer;
  readonly observation?: Observation | undefined;
}

/** Learns what a report has to teach. */
export function learnReport(state: RouterState, { arrival, observation }: Report, now: number): void {
  if (arrival) learnArrival(state.arrivals, arrival, now);
  if (observation) learnFrom(state, observation, now);
}

/** A decision and the key that it was made for. */
export interface KeptDecision {
  readonly key: string;
  readonly record: DecisionRecord;
}

export interface RouterStore {
  snapshot(): Promise<RouterState>;
  report(reports: readonly Report[]): Promise<void>;
  find(id: string): Promise<KeptDecision | undefined>;
}
