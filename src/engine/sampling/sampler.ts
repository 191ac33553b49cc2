// Draws the next token of one choice. Everything it does is a function of logits, options, position and the tokens it drew before.

import { candidates, type Filters } from "./candidates.ts";
import { exp } from "./exp.ts";
import { logSumExp, type TokenLogprob, topLogprobs } from "./logprobs.ts";
import { createPenalties, type PenaltyOptions } from "./penalties.ts";
import { uniform } from "./philox.ts";

export interface SamplerOptions extends PenaltyOptions {
  /** Divides the logits; 0 takes the likeliest token, the lowest id among equals. Default 1. */
  readonly temperature?: number | undefined;
  /** Keeps the fewest likeliest tokens whose probabilities reach this sum; default 1, which keeps all. */
  readonly topP?: number | undefined;
  /** Keeps this many likeliest tokens; default 0, which keeps all. */
  readonly topK?: number | undefined;
  /** Keeps tokens at least this fraction as likely as the likeliest; default 0. */
  readonly minP?: number | undefined;
  /** Any integer; its low 64 bits count. */
  readonly seed: number | bigint;
  /** Index of the choice: choices under one seed draw from streams of their own. Default 0. */
  readonly choice?: number | undefined;
  /** How many alternatives `next` lists; default 0. */
  readonly topLogprobs?: number | undefined;
}

export interface Sampled extends TokenLogprob {
  /** The likeliest tokens, of the unmodified distribution too; as many as `topLogprobs` asks for. */
  readonly top: readonly TokenLogprob[];
}

export interface Sampler {
  /**
   * Filters apply in this order: penalties and biases, mask, temperature, min-p, top-k, top-p of what top-k left.
   * The token counts as part of the reply from then on.
   * @param logits `[vocab]`, left as they are
   * @param position of the new token in its sequence: the random generator's counter
   * @param mask one bit a token, 32 a word, lowest bit first; tokens whose bit is 0 are not drawn
   * @returns the token and its log-probability in the model's unmodified distribution, which is computed when it is read: before the
   *   logits change
   * @throws SamplingError when no token can be drawn: all masked, or the logits are not numbers
   */
  next(logits: Float32Array, position: number, mask?: Int32Array): Sampled;
}

export class SamplingError extends Error {
  override readonly name = "SamplingError";
}

// One scratch for all samplers: nothing is kept in it between calls.
let scratch = new Float32Array(0);

export function createSampler(options: SamplerOptions): Sampler {
  const { temperature = 1, topP = 1, topK = 0, minP = 0, seed, choice = 0, topLogprobs: alternatives = 0 } = options;
  const penalties = createPenalties(options);
  return {
    next(logits, position, mask) {
      let changed = logits;
      if (penalties || mask) {
        if (scratch.length < logits.length) scratch = new Float32Array(logits.length);
        changed = scratch.subarray(0, logits.length);
        changed.set(logits);
        penalties?.apply(changed);
        if (mask) for (let i = 0; i < changed.length; i++) if (!allows(mask, i)) changed[i] = Number.NEGATIVE_INFINITY;
      }
      const best = likeliest(changed);
      const id =
        temperature === 0
          ? best
          : draw(changed, best, { temperature, topP, topK, minP }, uniform(seed, choice, position));
      penalties?.add(id);
      const top = alternatives ? topLogprobs(logits, alternatives) : [];
      return {
        id,
        // Over a whole vocabulary it costs as much as drawing: most replies do not ask for it.
        get logprob() {
          return (logits[id] as number) - logSumExp(logits);
        },
        top,
      };
    },
  };
}

const allows = (mask: Int32Array, id: number): boolean => (((mask[id >> 5] ?? 0) >>> (id & 31)) & 1) === 1;

/** The lowest id among those with the highest logit. */
function likeliest(logits: Float32Array): number {
  let best = -1;
  let max = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) {
    if ((logits[id] as number) > max) {
      max = logits[id] as number;
      best = id;
    }
  }
  if (best < 0 || max === Number.POSITIVE_INFINITY) {
    throw new SamplingError("no token can be drawn: every token is excluded, or the logits are not finite");
  }
  return best;
}

/** Inverts the cumulative distribution at `u` in [0, 1). */
function draw(logits: Float32Array, best: number, filters: Filters, u: number): number {
  if (filters.topK === 0 && filters.topP === 1 && filters.minP === 0) return drawFromAll(logits, best, filters, u);
  const { ids, weights } = candidates(logits, logits[best] as number, filters);
  let left = 0;
  for (let i = 0; i < weights.length; i++) left += weights[i] as number;
  left *= u;
  for (let i = 0; i < ids.length; i++) {
    left -= weights[i] as number;
    if (left < 0) return ids[i] as number;
  }
  // Rounding may leave a trace of the mass unassigned at the end.
  return best;
}

/** As `draw` where no filter needs the candidates side by side: two passes, and no memory. */
function drawFromAll(logits: Float32Array, best: number, { temperature }: Filters, u: number): number {
  const max = logits[best] as number;
  const weight = (id: number): number => exp(((logits[id] as number) - max) / temperature);
  let left = 0;
  for (let id = 0; id < logits.length; id++) left += weight(id);
  left *= u;
  for (let id = 0; id < logits.length; id++) {
    left -= weight(id);
    if (left < 0) return id;
  }
  return best;
}
