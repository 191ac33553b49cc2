// Likelihoods from whole rows of logits, for engines that have no kernel for them, and how a step's answer is read.

import { exp, log } from "./sampling/exp.ts";
import { type TokenLogprob, topLogprobs } from "./sampling/index.ts";
import { type Likelihoods, type LogitsWanted, MAX_LIKELIEST } from "./types.ts";

export interface TokenLikelihood {
  /** Natural log-probability of the target. */
  readonly logprob: number;
  /** Likeliest first, the lowest id first among equals. */
  readonly likeliest: readonly TokenLogprob[];
}

/** @throws RangeError for likelihoods that don't fit the tokens, the vocabulary or `MAX_LIKELIEST` */
export function checkLikelihoods(tokens: readonly number[], wanted: LogitsWanted, vocab: number): void {
  if (typeof wanted === "string") return;
  const { targets, top } = wanted;
  if (targets.length !== tokens.length) {
    throw new RangeError(`${tokens.length} tokens need as many targets, not ${targets.length}`);
  }
  const outside = targets.find((target) => !(target >= 0 && target < vocab));
  if (outside !== undefined) throw new RangeError(`target ${outside} is not below ${vocab}`);
  if (!(top >= 0 && top <= MAX_LIKELIEST)) throw new RangeError(`top is 0 to ${MAX_LIKELIEST}, not ${top}`);
}

/** @param logits `[targets, vocab]`; returns `[targets, 1 + 2 * top]` as `Engine.step` does */
export function likelihoodsOf(logits: Float32Array, vocab: number, { targets, top }: Likelihoods): Float32Array {
  const width = 1 + 2 * top;
  const out = new Float32Array(targets.length * width);
  for (const [i, target] of targets.entries()) {
    const row = logits.subarray(i * vocab, (i + 1) * vocab);
    const largest = row.reduce((a, b) => (a > b ? a : b), Number.NEGATIVE_INFINITY);
    const sum = row.reduce((total, value) => total + exp(value - largest), 0);
    const at = i * width;
    if (!(Number.isFinite(largest) && Number.isFinite(sum))) {
      out.fill(Number.NaN, at, at + width);
      continue;
    }
    const denominator = largest + log(sum);
    out[at] = (row[target] as number) - denominator;
    for (const [n, { id, logprob }] of topLogprobs(row, top, denominator).entries()) {
      out[at + 1 + 2 * n] = id;
      out[at + 2 + 2 * n] = logprob;
    }
  }
  return out;
}

/** Reads what `Engine.step` gives for `Likelihoods`, one entry a token. */
export function readLikelihoods(output: Float32Array, top: number): TokenLikelihood[] {
  const width = 1 + 2 * top;
  return Array.from({ length: output.length / width }, (_, i) => ({
    logprob: output[i * width] as number,
    likeliest: Array.from({ length: top }, (_, n) => ({
      id: output[i * width + 1 + 2 * n] as number,
      logprob: output[i * width + 2 + 2 * n] as number,
    })),
  }));
}
