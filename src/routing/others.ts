// What an answer costs the requests that come after it. While it keeps a replica busy, requests arrive, and waiting takes
// expected usefulness from those that have little time to spare. It is counted in the same measure as an answer's own worth.
import type { Overtaking } from "./latency.ts";
import { type Asked, type Foretold, foretellOthers, type Load, type UnderWay } from "./load.ts";
import {
  add,
  binsOf,
  type Distribution,
  distributionOf,
  emptySketch,
  type Sketch,
  scale,
  shareBelow,
  weightOf,
} from "./sketch.ts";

/** What arrivals so far had to lose, forgetting. */
export interface ArrivalState {
  /** Delays in milliseconds, each weighed by the usefulness that a request lost at it. */
  readonly losses: Sketch;
  /** Milliseconds until each was due, of those that had a limit in time. */
  readonly dues: Sketch;
  /** Milliseconds since 1970 up to which it has aged. */
  at: number;
}

const HALF_LIFE_MS = 120_000;

/** What a request loses by waiting: at each delay, so much of its usefulness. */
export type Losses = readonly { readonly delayMs: number; readonly lost: number }[];

export const newArrivals = (): ArrivalState => ({ losses: emptySketch(), dues: emptySketch(), at: 0 });

const faded = ({ at }: ArrivalState, now: number): number => 2 ** (-Math.max(0, now - at) / HALF_LIFE_MS);

/** A request as the ones that are there see it come. */
export interface Newcomer {
  /** Milliseconds until it is due; infinite without a limit in time. */
  readonly dueMs: number;
  readonly losses: Losses;
}

export function learnArrival(state: ArrivalState, { dueMs, losses }: Newcomer, now: number): void {
  scale(state.losses, faded(state, now));
  scale(state.dues, faded(state, now));
  if (Number.isFinite(dueMs)) add(state.dues, Math.max(1, dueMs));
  state.at = Math.max(state.at, now);
  for (const { delayMs, lost } of losses) add(state.losses, Math.max(1, delayMs), lost);
}

/**
 * What a request loses by waiting, from what each variant could still do for it: it is answered by the best of those that
 * are in time, so that with the delay it falls from one to the next.
 * @param options of each variant: milliseconds to spare, and the worth of an answer in time
 */
export function lossesOf(options: readonly { readonly slackMs: number; readonly worth: number }[]): Losses {
  let best = 0;
  return options
    .filter(({ slackMs }) => slackMs > 0 && Number.isFinite(slackMs))
    .toSorted((a, b) => b.slackMs - a.slackMs || b.worth - a.worth)
    .flatMap(({ slackMs, worth }) => {
      if (worth <= best) return [];
      const lost = worth - best;
      best = worth;
      return [{ delayMs: slackMs, lost }];
    });
}

/** Usefulness that an answer is expected to take from others, by the milliseconds for which it keeps the replica busy. */
export type Crowding = (busyMs: number) => number;

/**
 * With arrivals at a rate r that lose D(x) each by a delay of x, those that come while the replica is busy for another x lose
 * r times the integral of D from 0 to the busy time.
 */
export function crowdingOf(state: ArrivalState, now: number): Crowding {
  // An exponential mean of the weights per arrival times the rate: the count of arrivals cancels out.
  const perMs = (faded(state, now) * Math.LN2) / HALF_LIFE_MS;
  if (weightOf(state.losses) === 0) return () => 0;
  const steps: { readonly value: number; readonly below: number; readonly integral: number }[] = [];
  let [below, integral, last] = [0, 0, 0];
  for (const { value, weight } of binsOf(state.losses)) {
    integral += below * (value - last);
    below += weight;
    last = value;
    steps.push({ value, below, integral });
  }
  return (busyMs) => {
    const after = steps.findIndex(({ value }) => value > busyMs);
    const step = steps[(after < 0 ? steps.length : after) - 1];
    return step ? perMs * (step.integral + step.below * (busyMs - step.value)) : 0;
  };
}

/** How likely more urgent requests come, at the rate of the last minutes, with arrivals that know nothing of each other. */
export function overtakingOf(state: ArrivalState, now: number): Overtaking {
  const perMs = (faded(state, now) * weightOf(state.dues) * Math.LN2) / HALF_LIFE_MS;
  if (perMs === 0) return () => 0;
  const dues = distributionOf([[state.dues, 1]]);
  return (leftMs, withinMs) => 1 - Math.exp(-perMs * shareBelow(dues, leftMs) * withinMs);
}

/**
 * Usefulness that a request takes from those under way: how much less likely they are in time with it than without.
 * @param ratios of measured times to foretold ones, around 1
 */
export function takenBy(load: Load, before: readonly Foretold[], mine: Asked, ratios: Distribution): number {
  if (!load.requests.some(({ worth }) => worth > 0)) return 0;
  const after = foretellOthers(load, mine);
  return load.requests.reduce((sum, request, i) => {
    if (request.worth === 0) return sum;
    const [then, now] = [before[i], after[i]].map((told) => chanceInTime(request, load.now, told as Foretold, ratios));
    return sum + request.worth * Math.max(0, (then as number) - (now as number));
  }, 0);
}

function chanceInTime(request: UnderWay, now: number, { firstMs, restMs }: Foretold, ratios: Distribution): number {
  const { allowed, askedAt, firstAt, maxTokens } = request;
  const { latencyMs, ttftMs, tpotMs } = allowed;
  const gone = now - askedAt;
  let chance = 1;
  const limit = (leftMs: number, ms: number): void => {
    chance = Math.min(chance, leftMs <= 0 ? 0 : shareBelow(ratios, leftMs / Math.max(1, ms)));
  };
  if (latencyMs !== undefined) limit(latencyMs - gone, firstMs + restMs);
  if (ttftMs !== undefined && firstAt === undefined) limit(ttftMs - gone, firstMs);
  if (tpotMs !== undefined) limit((firstAt ?? now + firstMs) + (maxTokens - 1) * tpotMs - now, firstMs + restMs);
  return chance;
}
