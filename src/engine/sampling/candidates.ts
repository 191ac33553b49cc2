// Which tokens temperature, min-p, top-k and top-p leave, and how likely each is. Sorting a whole vocabulary would cost as much as the
// model, so only the head of the distribution that the filters can reach is sorted.
import { exp, log } from "./exp.ts";

export interface Filters {
  /** Above 0. */
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly minP: number;
}

export interface Candidates {
  readonly ids: Uint32Array;
  /** Probabilities as multiples of the likeliest token's. */
  readonly weights: Float64Array;
}

/** A token less likely than the likeliest by more than this many nats is never drawn; all of them together are below 1e-12. */
const NEVER = 40;
/** Weights at which the head is cut before it is sorted. */
const HEADS = [1e-2, 1e-4, 1e-8];
/** Token ids take the low 21 bits of a sort key: 32 bits of rank and 21 of id are exact in a double. */
const IDS = 2 ** 21;

let ids = new Uint32Array(0);
let weights = new Float64Array(0);

/**
 * @param max the highest logit
 * @returns likeliest first where a filter needs ranks, else in id order; valid until the next call
 */
export function candidates(logits: Float32Array, max: number, filters: Filters): Candidates {
  const { temperature, topP, topK, minP } = filters;
  const depth = minP > 0 ? Math.min(NEVER, -log(Math.min(minP, 1))) : NEVER;
  let count = gather(logits, max, temperature, max - temperature * depth);
  if (topK > 0 || topP < 1) {
    const needed = topK === 0 ? topP * mass(count) : 0;
    count = head(count, topK, needed);
    rank(logits, max, temperature, count);
    if (topK > 0) count = Math.min(count, topK);
    if (topP < 1) count = reach(topK > 0 ? topP * mass(count) : needed, count);
  }
  return { ids: ids.subarray(0, count), weights: weights.subarray(0, count) };
}

/** All tokens with at least this logit, in id order. */
function gather(logits: Float32Array, max: number, temperature: number, least: number): number {
  if (ids.length < logits.length) {
    ids = new Uint32Array(logits.length);
    weights = new Float64Array(logits.length);
  }
  let count = 0;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id] as number;
    if (!(logit >= least)) continue;
    ids[count] = id;
    weights[count] = exp((logit - max) / temperature);
    count++;
  }
  return count;
}

function mass(count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += weights[i] as number;
  return sum;
}

/** Keeps the shortest head that has `topK` tokens, or without top-k the mass that is needed. */
function head(count: number, topK: number, needed: number): number {
  for (const least of HEADS) {
    let tokens = 0;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      if ((weights[i] as number) < least) continue;
      tokens++;
      sum += weights[i] as number;
    }
    if (topK > 0 ? tokens < topK : sum < needed) continue;
    let at = 0;
    for (let i = 0; i < count; i++) if ((weights[i] as number) >= least) ids[at++] = ids[i] as number;
    return at;
  }
  return count;
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** Sorts the first `count` candidates, likeliest first, of equal ones the lowest id first. */
function rank(logits: Float32Array, max: number, temperature: number, count: number): void {
  const keys = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const id = ids[i] as number;
    // + 0 turns -0 into 0; then the bits, with a negative number's flipped, order as the numbers do.
    float[0] = (logits[id] as number) + 0;
    const pattern = bits[0] as number;
    const descending = pattern >>> 31 ? pattern : 0x7fffffff - pattern;
    keys[i] = descending * IDS + id;
  }
  keys.sort();
  for (let i = 0; i < count; i++) {
    const id = (keys[i] as number) % IDS;
    ids[i] = id;
    weights[i] = exp(((logits[id] as number) - max) / temperature);
  }
}

/** How many of the first `count` reach the mass, the one that crosses it included. */
function reach(needed: number, count: number): number {
  let reached = 0;
  let kept = 0;
  while (kept < count && (kept === 0 || reached < needed)) reached += weights[kept++] as number;
  return kept;
}
