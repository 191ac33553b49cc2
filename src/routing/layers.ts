// How little is known is filled up from what is known more widely: a variant's own experience, then that of all variants, then a seed. So
// the first request is already sensible, and a variant that was never asked profits from the others.
import { add, emptySketch, type Sketch, scale, weightOf } from "./sketch.ts";

/** A layer that weighs less is filled up from the next wider one to this. */
export const ENOUGH = 24;
/** A sketch that weighs more is scaled down: the oldest observations count least. */
const MOST = 128;
/** What was seen this long ago counts half. */
export const HALF_LIFE_MS = 10 * 60_000;

/** Experience that grows old. */
export interface Aging {
  readonly sketch: Sketch;
  /** Milliseconds since 1970 up to which it has aged. */
  at: number;
}

/** The entry of a key, made when it is new. */
export function agingOf(all: Record<string, Aging>, key: string, now: number): Aging {
  const aging = all[key] ?? { sketch: emptySketch(), at: now };
  all[key] = aging;
  return aging;
}

/**
 * Adds an observation to what is left of the older ones.
 * @param floor weight that time alone does not take away
 * @param most weight beyond which the oldest observations count less
 */
export function learn(aging: Aging, value: number, now: number, floor = 0, most = MOST): void {
  age(aging, now, floor);
  add(aging.sketch, value);
  const weight = weightOf(aging.sketch);
  if (weight > most) scale(aging.sketch, most / weight);
}

function age(aging: Aging, now: number, floor: number): void {
  const elapsed = now - aging.at;
  if (elapsed <= 0) return;
  aging.at = now;
  const weight = weightOf(aging.sketch);
  if (weight <= floor) return;
  scale(aging.sketch, Math.max(2 ** (-elapsed / HALF_LIFE_MS), floor / weight));
}

/** What all variants together have learnt keeps this much: a machine is as fast after a quiet night as before. */
export const SHARED_FLOOR = ENOUGH;

/**
 * What is known at a time, as sketches with their factors for `quantilesOf`: a narrow layer, filled up from wider ones.
 * @param wider the narrowest first
 * @returns `own`: weight of the narrow layer; `missing`: weight that the layers lack of what is enough
 */
export function known(
  narrow: Aging | undefined,
  wider: readonly (Aging | undefined)[],
  now: number,
): { readonly parts: readonly (readonly [Sketch, number])[]; readonly own: number; readonly missing: number } {
  const parts: (readonly [Sketch, number])[] = [];
  const take = (layer: Aging | undefined, floor: number, most: number): number => {
    if (!layer || most <= 0) return 0;
    const weight = weightOf(layer.sketch);
    const left = Math.max(weight * 2 ** (-Math.max(0, now - layer.at) / HALF_LIFE_MS), Math.min(weight, floor));
    const taken = Math.min(left, most);
    if (weight > 0) parts.push([layer.sketch, taken / weight]);
    return taken;
  };
  const own = take(narrow, 0, MOST);
  let missing = ENOUGH - own;
  for (const layer of wider) missing -= take(layer, SHARED_FLOOR, missing);
  return { parts, own, missing: Math.max(0, missing) };
}
