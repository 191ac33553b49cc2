// How long replies get: the share of `max_tokens` that a key's requests use, because some ask for a limit they never come near.

import { LEVELS, type PerLevel, record, sharesOf } from "./latency.ts";
import { type Aging, agingOf, known, learn, SHARED_FLOOR } from "./layers.ts";
import { ACCURACY, add, emptySketch, quantilesOf } from "./sketch.ts";

/** Shares of the maximum by key; `*` stands for all keys. */
export type LengthState = Record<string, Aging>;
const ALL = "*";
/** Keys whose habits are remembered; the longest unseen is forgotten first. */
const MOST_KEYS = 200;

/** Before anything was seen, every other reply goes to its limit. */
const SEED = emptySketch();
for (const [share, weight] of [
  [0.25, 0.2],
  [0.5, 0.3],
  [1, 0.5],
] as const)
  add(SEED, share, weight);

/** @param tokens of a reply that ended by itself or at `maxTokens` */
export function learnLength(state: LengthState, key: string, tokens: number, maxTokens: number, now: number): void {
  const share = Math.max(1, tokens) / maxTokens;
  learn(agingOf(state, key, now), share, now);
  learn(agingOf(state, ALL, now), share, now, SHARED_FLOOR);
  const keys = Object.keys(state);
  if (keys.length <= MOST_KEYS + 1) return;
  const oldest = keys.filter((other) => other !== ALL).reduce((a, b) => (state[a]!.at <= state[b]!.at ? a : b));
  delete state[oldest];
}

/**
 * Tokens that a reply hardly has more than, at each level.
 * @param high the share that `high` stands for
 */
export function lengthsOf(
  state: LengthState,
  key: string,
  maxTokens: number,
  high: number,
  now: number,
): PerLevel<number> {
  const { parts } = known(state[key], state[ALL], SEED, now);
  const shares = sharesOf(high);
  return record(LEVELS, (level) => {
    const [share] = quantilesOf(parts, [shares[level]]) as [number];
    // A sketch is off by its accuracy; a reply that goes to its limit does so exactly.
    return Math.min(maxTokens, Math.max(1, Math.ceil(share * (1 + ACCURACY) * maxTokens)));
  });
}
