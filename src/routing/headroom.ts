// What an answer costs those who come after it: while it keeps a replica busy, requests arrive, and some have no time to spare.
import { type Aging, agingOf, learn } from "./layers.ts";
import { binsOf, emptySketch, type Sketch, weightOf } from "./sketch.ts";

/** Arrivals so far, forgetting: how many, and how much time each had to spare. */
export interface ArrivalState {
  /** Under the key `slack`: milliseconds between what a request is allowed and what the fastest variant needs for it. */
  readonly slack: Record<string, Aging>;
  /** Arrivals, each counting half after `RATE_HALF_LIFE_MS`. */
  count: number;
  at: number;
}

const RATE_HALF_LIFE_MS = 60_000;
const SLACK = "slack";
/** What a request without a limit in time has to spare. */
const PLENTY_MS = 1e4;

export const newArrivals = (): ArrivalState => ({ slack: {}, count: 0, at: 0 });

const faded = ({ count, at }: ArrivalState, now: number): number =>
  count * 2 ** (-Math.max(0, now - at) / RATE_HALF_LIFE_MS);

/** @param slackMs undefined for a request without a limit in time */
export function learnArrival(state: ArrivalState, slackMs: number | undefined, now: number): void {
  state.count = faded(state, now) + 1;
  state.at = Math.max(state.at, now);
  learn(agingOf(state.slack, SLACK, now), Math.max(1, slackMs ?? PLENTY_MS), now);
}

/** How many requests an answer is expected to keep from their budgets, by the milliseconds for which it keeps the replica busy. */
export type Crowding = (busyMs: number) => number;

/**
 * With arrivals at a rate r, of which a share F(x) has no more than x to spare, one that comes while the replica is busy for another x is
 * late with probability F(x): the expected number is r times the integral of F from 0 to the busy time.
 */
export function crowdingOf(state: ArrivalState, now: number): Crowding {
  const perMs = (faded(state, now) * Math.LN2) / RATE_HALF_LIFE_MS;
  const sketch: Sketch = state.slack[SLACK]?.sketch ?? emptySketch();
  const total = weightOf(sketch);
  const steps: { readonly value: number; readonly below: number; readonly integral: number }[] = [];
  let below = 0;
  let integral = 0;
  let last = 0;
  for (const { value, weight } of binsOf(sketch)) {
    integral += below * (value - last);
    below += weight / total;
    last = value;
    steps.push({ value, below, integral });
  }
  return (busyMs) => {
    let low = 0;
    let high = steps.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((steps[middle]?.value ?? 0) <= busyMs) low = middle + 1;
      else high = middle;
    }
    const step = steps[low - 1];
    return step ? perMs * (step.integral + step.below * (busyMs - step.value)) : 0;
  };
}
