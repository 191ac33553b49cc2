// What an evaluation asks of a model, as plain data that goes through JSON and RPC unchanged. Token ids only: whoever answers has the
// weights and no tokenizer, and whoever asks has the tokenizer and no weights.

/** Asks for the log-likelihood of each continuation after one shared context. */
export interface LikelihoodRequest {
  readonly type: "likelihood";
  /** At least one token; the first may be a prefix token that stands for the beginning of a text. */
  readonly context: readonly number[];
  /** Each at least one token. */
  readonly continuations: readonly (readonly number[])[];
}

/** Asks for the likeliest token again and again, the lowest id among equals. */
export interface GreedyRequest {
  readonly type: "greedy";
  /** At least one token. */
  readonly context: readonly number[];
  readonly maxTokens: number;
  /** Tokens that end the generation, such as all whose text holds a stop string. */
  readonly stopIds: readonly number[];
}

/** Asks how far the model's next tokens are from the reference's, over a reply that both are given. */
export interface DivergenceRequest {
  readonly type: "divergence";
  /** At least one token. */
  readonly context: readonly number[];
  /** At least one token. */
  readonly reply: readonly number[];
}

export type ScoreRequest = LikelihoodRequest | GreedyRequest | DivergenceRequest;

export interface LikelihoodAnswer {
  readonly type: "likelihood";
  /** One per continuation: the sum of its tokens' log-probabilities, natural logarithm; always finite. */
  readonly logLikelihoods: readonly number[];
}

export interface GreedyAnswer {
  readonly type: "greedy";
  /** What was generated; where a stop token ended it, that token is the last. */
  readonly ids: readonly number[];
}

export interface DivergenceAnswer {
  readonly type: "divergence";
  /** Of the reply. */
  readonly tokens: number;
  /** Tokens at which both hold the same one for the likeliest. */
  readonly agreements: number;
  /** KL divergence of the model from the reference over the whole vocabulary, in nats, summed over the tokens. */
  readonly kl: number;
}

export type ScoreAnswer = LikelihoodAnswer | GreedyAnswer | DivergenceAnswer;

export type AnswerTo<R extends ScoreRequest> = Extract<ScoreAnswer, { type: R["type"] }>;

/** One variant on one engine, as evaluations see it. */
export interface Scorer {
  /**
   * @param signal gives the work up at the next step; what was computed is lost
   * @throws ScoringError when the model's logits are not finite; EngineError when the request does not fit; the signal's reason
   */
  answer<R extends ScoreRequest>(request: R, signal?: AbortSignal): Promise<AnswerTo<R>>;
}

/** The model computes what no score can be made of. */
export class ScoringError extends Error {
  override readonly name = "ScoringError";
}
