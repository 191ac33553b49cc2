// What the benchmark asks of anything it measures: run prompts and say when each generated token reached the caller.

/** The same prompt in two forms: the text has exactly these tokens. */
export interface Prompt {
  readonly ids: readonly number[];
  readonly text: string;
}

export interface RunRequest {
  /** Variant id; a peer runs the unpruned base and nothing else. */
  readonly variant: string;
  /** One for each sequence; several run at once. */
  readonly prompts: readonly Prompt[];
  /** Tokens to generate for each sequence, greedily and past any end token. */
  readonly count: number;
  /** The time before the first token is not looked at: a subject may keep what an earlier run left of the same prompt in its KV cache. */
  readonly reuse: boolean;
}

/** Milliseconds from the request to each token's arrival, by sequence: `[sequences, count]`. */
export type Arrivals = readonly (readonly number[])[];

export interface Running {
  /** What exactly runs: versions, build. */
  readonly detail: string;
  run(request: RunRequest): Promise<Arrivals>;
  stop(): Promise<void>;
}

export interface StartOptions {
  /** The core that the subject may use, undefined where processes can't be pinned. */
  readonly core: number | undefined;
}

export interface Subject {
  /** Name for `--only` and for the tables. */
  readonly id: string;
  readonly title: string;
  readonly ours: boolean;
  /** @throws Unavailable when this machine lacks what the subject needs */
  start(options: StartOptions): Promise<Running>;
}

/** A subject that can't run here; the report says why it was left out. */
export class Unavailable extends Error {
  override readonly name = "Unavailable";
}
