// How far one model's next tokens are from another's, from whole rows of logits.
import { exp, log } from "./sampling/exp.ts";

/** What two models say of one next token. */
export interface Divergence {
  /** KL divergence of B from A over the whole vocabulary, sum of p_A ln(p_A / p_B), in nats; exactly 0 for equal rows. */
  readonly kl: number;
  /** Whether both hold the same token for the likeliest, the lowest id among equals. */
  readonly agrees: boolean;
  /** Minus the natural logarithm of what B gives the target. */
  readonly nll: number;
}

/** What this many nats below the largest logit add to a sum over a vocabulary is lost in its rounding. */
const NEGLIGIBLE = -40;

/**
 * @param a logits `[vocab]`, and `b` as many
 * @param target the token that did come
 */
export function divergenceOf(a: Float32Array, b: Float32Array, target: number): Divergence {
  const [likeliestA, likeliestB] = [likeliest(a), likeliest(b)];
  const [mostA, mostB] = [a[likeliestA] as number, b[likeliestB] as number];
  let [sumA, sumB, weighted] = [0, 0, 0];
  for (let id = 0; id < a.length; id++) {
    const [x, y] = [a[id] as number, b[id] as number];
    if (y - mostB > NEGLIGIBLE) sumB += exp(y - mostB);
    if (x - mostA <= NEGLIGIBLE) continue;
    const weight = exp(x - mostA);
    sumA += weight;
    weighted += weight * (x - y);
  }
  const [totalA, totalB] = [mostA + log(sumA), mostB + log(sumB)];
  return {
    // The mean under A of the logits' difference, less that of the normalizers; rounding may leave it below 0.
    kl: Math.max(0, weighted / sumA - totalA + totalB),
    agrees: likeliestA === likeliestB,
    nll: totalB - (b[target] as number),
  };
}

function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if ((logits[id] as number) > (logits[best] as number)) best = id;
  return best;
}
