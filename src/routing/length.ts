// How long replies get: the share of `max_tokens` that a key's requests use, because some ask for a limit they never come near.

import { type Aging, agingOf, known, learn, SHARED_FLOOR } from "./layers.ts";
import { add, emptySketch, GAMMA, quantilesOf } from "./sketch.ts";

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

/** How long a reply gets, as far as it can be said before. */
export interface Lengths {
  readonly p50: number;
  /** At the quantile that was asked for. */
  readonly high: number;
  /** Lengths that stand for all, each with its share of the replies; the shares sum to 1. */
  readonly cases: readonly { readonly tokens: number; readonly share: number }[];
}

/** Where the lengths that stand for all are taken, as shares of the replies that are no longer; finer where they are long. */
const CASES = [
  { at: 0.25, share: 0.5 },
  { at: 0.65, share: 0.3 },
  { at: 0.875, share: 0.15 },
  { at: 0.975, share: 0.05 },
] as const;

/** A length that is known. */
export const exactly = (tokens: number): Lengths => ({ p50: tokens, high: tokens, cases: [{ tokens, share: 1 }] });

/** @param high the share of replies that `high` stands for */
export function lengthsOf(state: LengthState, key: string, maxTokens: number, high: number, now: number): Lengths {
  const { parts, missing } = known(state[key], [state[ALL]], now);
  const used = quantilesOf([...parts, [SEED, missing]], [0.5, high, ...CASES.map(({ at }) => at)]);
  // A sketch is off by a bin; a reply that goes to its limit does so exactly.
  const [p50, most, ...rest] = used.map((share) =>
    Math.min(maxTokens, Math.max(1, Math.ceil(share * GAMMA * maxTokens))),
  ) as [number, number, ...number[]];
  const cases = rest.map((tokens, i) => ({ tokens, share: CASES[i]?.share ?? 0 }));
  const same = cases.every(({ tokens }) => tokens === p50);
  return { p50, high: most, cases: same ? [{ tokens: p50, share: 1 }] : cases };
}
