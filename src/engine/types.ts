// What turns token ids into logits under a plan. The interface is what a batch scheduler needs: sequences own their KV cache, and
// one step advances any number of them, of any variants, at any positions.
import type { BaseModel, Plan } from "../variants/index.ts";

/** A sequence being decoded: its plan, which may be switched, and its KV cache, one cache per slot that has attention. */
export interface Sequence {
  readonly plan: Plan;
  /** Tokens in the KV cache, which is the position of the next token. */
  readonly length: number;
  /** Forgets the tokens from position `length` on, which may not be shared: the next step goes on from there. */
  truncate(length: number): void;
  /**
   * Before the first step: takes over what sequences of the same plan and scope have shared of the beginning of these tokens. At least the
   * last one is left to step. Absent where an engine shares nothing.
   * @param top asks for the likelihoods of the tokens too, with this many likeliest, and takes over no more than there are any for
   * @returns likelihoods `[length, 1 + 2 * top]`, as steps over the tokens taken over would have given them
   */
  reuse?(tokens: readonly number[], top?: number): Float32Array;
  /**
   * Lets later sequences take over what this one holds, and what of its likelihoods is known; from then on its tokens stay. The sequence
   * may go on. Absent where an engine shares nothing.
   */
  share?(likelihoods?: PromptLikelihoods): void;
  /** Frees the KV cache. A closed sequence may not be stepped; closing twice is harmless. */
  close(): void;
}

/** Asks, for each token of the input, how likely the token `targets[i]` is to come after it, and which `top` ids are the likeliest. */
export interface Likelihoods {
  readonly targets: readonly number[];
  /** 0 to `MAX_LIKELIEST`. */
  readonly top: number;
}

export const MAX_LIKELIEST = 20;

/** Likelihoods of the tokens of a prompt from the second one on. */
export interface PromptLikelihoods {
  readonly top: number;
  /** `[tokens - 1, 1 + 2 * top]`, as `Engine.step` gives them. */
  readonly rows: Float32Array;
}

/** What a step gives back for one sequence: no logits (an early prefill chunk), those after the last token, after each, or likelihoods. */
export type LogitsWanted = "none" | "last" | "all" | Likelihoods;

export interface StepInput {
  readonly sequence: Sequence;
  /** Token ids to append, at least one; more than one is a prefill chunk. At most `Engine.maxChunk`. */
  readonly tokens: readonly number[];
  readonly logits: LogitsWanted;
}

/**
 * Called by an engine between pieces of work with the multiply-adds just done. A returned promise must be awaited: that is where the
 * event loop gets its turn. Counted in work, not in time, because in a deployed Worker the clock stands still during compute.
 */
export type Pace = (multiplyAdds: number) => Promise<void> | undefined;

/** Tokens that a sequence is about to be given, and how many likeliest are wanted of each, as of `Sequence.reuse`. */
export interface Prompt {
  readonly tokens: readonly number[];
  readonly top?: number | undefined;
}

export interface Engine {
  readonly name: EngineName;
  /** Digest of all that, beside weights and plan, can change a logit. */
  readonly digest: string;
  /** Most tokens one `StepInput` may carry. */
  readonly maxChunk: number;
  /**
   * Loads a weight set that the engine was made to have room for beside its first one, whose plans may then be stepped
   * together with others. Absent where an engine holds one.
   * @param onProgress called with the share that is done, 0 to 1
   * @throws EngineError `damaged_weights`: the next call tries again
   */
  load?(base: BaseModel, onProgress?: (progress: number) => void): Promise<void>;
  /** Bytes that weights, sessions and KV caches take now; not the few arrays that hand logits out. */
  residentBytes(): number;
  /** Most tokens that a sequence of this plan may hold when it is the only one: the plan's context, or what memory has room for. */
  capacityOf(plan: Plan): number;
  /**
   * A new, empty sequence under a plan; sets up what the plan needs and is not set up yet.
   * @param capacity most tokens that the sequence will ever hold; admission is decided on it
   * @param scope sequences of one scope, a client's, share what they hold when they are told to; without one it shares nothing
   * @param prompt what `reuse` will be asked for: as much of it as is held is kept, and needs no more memory
   * @throws EngineError `context_overflow` beyond `capacityOf`, `out_of_memory` when the KV cache does not fit now, `bad_plan` when the plan asks for what the weights lack
   */
  open(plan: Plan, capacity: number, scope?: string, prompt?: Prompt): Promise<Sequence>;
  /**
   * Goes on with a sequence under another plan: what it holds stays, and the next step is the new plan's.
   * @throws EngineError `bad_plan` when the sequence lacks a KV cache that the plan needs (`sharedKv`), or the engine cannot
   */
  switchPlan(sequence: Sequence, plan: Plan): Promise<void>;
  /**
   * Appends tokens to each sequence of the batch and returns one logits array per entry, in order: `[rows, vocab]`, row-major, with
   * rows 0, 1 or the number of tokens by `StepInput.logits`. For `Likelihoods` it is `[tokens, 1 + 2 * top]`: the target's
   * log-probability (natural, of the softmax over the logits as they are), then id and log-probability of the likeliest, likeliest
   * first, the lowest id first among equals. Arrays are valid until the next step. An entry's result does not depend on what else is
   * in the batch. A row in which a NaN or an infinity came up is all NaN; other rows are not touched by it.
   * @throws EngineError `context_overflow` when an entry goes beyond its capacity, and what the pace throws; nothing is appended then
   */
  step(batch: readonly StepInput[], pace: Pace): Promise<Float32Array[]>;
}

export type EngineName = "onnx" | "wasm";

/** `too_large`: the weights alone are beyond the memory that there may ever be; `not_finite`: NaN or infinity in the logits of one sequence. */
export type EngineErrorCode =
  | "out_of_memory"
  | "too_large"
  | "bad_plan"
  | "context_overflow"
  | "damaged_weights"
  | "not_finite";

export class EngineError extends Error {
  constructor(
    readonly code: EngineErrorCode,
    message: string,
  ) {
    super(message);
    this.name = "EngineError";
  }
}
