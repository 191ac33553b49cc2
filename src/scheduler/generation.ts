// One generation as a batcher is asked for it: the prompt, what is drawn and what may come, and who hears of it.

import type { Matcher } from "../engine/grammar/index.ts";
import type { Sampled, Sampler } from "../engine/sampling/index.ts";
import type { Plan } from "../variants/index.ts";
import type { TimeAllowed } from "./turns.ts";

export interface Generation {
  readonly plan: Plan;
  readonly promptIds: readonly number[];
  /** 0 only with `promptLikelihoods`. */
  readonly maxTokens: number;
  /** What it may take: the tighter, the sooner its turn. Default: nothing hurries it. */
  readonly allowed?: TimeAllowed | undefined;
  /**
   * Generations of one scope, a client's, go on from each other's prompts and replies where theirs begin alike, and have one share of the
   * engine. Default: they do not, and those without a scope have a share together.
   */
  readonly scope?: string | undefined;
  /** Nobody waits for it: it goes on beside others, and gives up its memory to them. Default: somebody does. */
  readonly background?: boolean | undefined;
  /** Asks for the likelihoods of the prompt's tokens from the second one on, with this many likeliest. */
  readonly promptLikelihoods?: number | undefined;
  /** Tokens that end the model's turn; they are not delivered. */
  readonly endIds: readonly number[];
  readonly sampler: Sampler;
  /** Which tokens may come: it masks what is sampled, and ends the generation as "stop" where nothing more can come. */
  readonly matcher?: Matcher | undefined;
  /**
   * Receives a token. While the returned promise is pending the receiver is behind and the sequence pauses; a rejection means that it is
   * gone and ends the generation without a further call.
   */
  onToken(token: Sampled): Promise<void> | undefined;
  /** The prompt's computation begins: this many of its tokens were there already. */
  onStart?(cachedTokens: number): void;
  /** Receives likelihoods of the prompt as they come: rows as `Engine.step` gives them, valid only now. */
  onPrompt?(rows: Float32Array): void;
  /** @param end the token that ended the turn, readable only now; none where a grammar or the length did */
  onEnd(reason: "stop" | "length", end?: Sampled): void;
  onError(error: unknown): void;
}
