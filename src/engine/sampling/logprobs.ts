// Log-probabilities of the model's own distribution: what it said before temperature, penalties or filters touched it.
import { exp, log } from "./exp.ts";

export interface TokenLogprob {
  readonly id: number;
  /** Natural logarithm of the token's probability. */
  readonly logprob: number;
}

/** ln of the sum of e^logit: subtract it from a logit for its log-probability. */
export function logSumExp(logits: Float32Array): number {
  let max = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) if ((logits[i] as number) > max) max = logits[i] as number;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) {
    const below = (logits[i] as number) - max;
    // What is left out is below 49,152 * e^-40: a 1e-13th of the sum.
    if (below > -40) sum += exp(below);
  }
  return max + log(sum);
}

/**
 * The `count` likeliest tokens, likeliest first; of equal ones the lowest id first.
 * @param normalizer `logSumExp(logits)`
 */
export function topLogprobs(logits: Float32Array, count: number, normalizer = logSumExp(logits)): TokenLogprob[] {
  const top: number[] = [];
  const value = (id: number): number => logits[id] as number;
  for (let id = 0; id < logits.length; id++) {
    if (top.length === count && !(value(id) > value(top[count - 1] as number))) continue;
    if (count === 0) break;
    let at = Math.min(top.length, count - 1);
    while (at > 0 && value(id) > value(top[at - 1] as number)) {
      top[at] = top[at - 1] as number;
      at--;
    }
    top[at] = id;
  }
  return top.map((id) => ({ id, logprob: value(id) - normalizer }));
}
