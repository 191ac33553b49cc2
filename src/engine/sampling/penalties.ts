// What changes single logits before a token is drawn: penalties on tokens that came before, and biases that the request names.

export interface PenaltyOptions {
  /**
   * Divides a positive logit of a token seen in prompt or reply by this, and multiplies a negative one; default 1
   * (Keskar et al., "CTRL", arXiv 1909.05858, and as Hugging Face and vLLM do it for negative logits).
   */
  readonly repetitionPenalty?: number | undefined;
  /** Taken off the logit of every token that the reply already has; default 0 (OpenAI). */
  readonly presencePenalty?: number | undefined;
  /** Taken off the logit of a token once for each time that the reply has it; default 0 (OpenAI). */
  readonly frequencyPenalty?: number | undefined;
  /** Added to the logits of these token ids, after the penalties. */
  readonly logitBias?: ReadonlyMap<number, number> | undefined;
  /** The prompt, which `repetitionPenalty` counts as seen. */
  readonly promptIds?: readonly number[] | undefined;
}

export interface Penalties {
  /** Changes logits in place. */
  apply(logits: Float32Array): void;
  /** Counts a token as part of the reply. */
  add(id: number): void;
}

/** @returns undefined when nothing would ever change */
export function createPenalties(options: PenaltyOptions): Penalties | undefined {
  const { repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0, logitBias, promptIds = [] } = options;
  const repeats = repetitionPenalty !== 1;
  const counts = presencePenalty !== 0 || frequencyPenalty !== 0;
  if (!repeats && !counts && !logitBias?.size) return undefined;

  const seen = new Set(repeats ? promptIds : []);
  const reply = new Map<number, number>();
  return {
    apply(logits) {
      const change = (id: number, change: (logit: number) => number): void => {
        if (id < logits.length) logits[id] = change(logits[id] as number);
      };
      for (const id of seen) change(id, (l) => (l > 0 ? l / repetitionPenalty : l * repetitionPenalty));
      for (const [id, count] of reply) change(id, (l) => l - presencePenalty - frequencyPenalty * count);
      if (logitBias) for (const [id, bias] of logitBias) change(id, (l) => l + bias);
    },
    add(id) {
      if (repeats) seen.add(id);
      if (counts) reply.set(id, (reply.get(id) ?? 0) + 1);
    },
  };
}
