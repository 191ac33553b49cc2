// What comes of a generation, as whoever writes a reply reads it.
import type { FrameToken } from "../replica/index.ts";

/** A token with natural log-probabilities of the model's own distribution, where they were asked for. */
export type { FrameToken } from "../replica/index.ts";

/** Tokens from this one on, counted from 0, come from this variant. */
export interface Downshift {
  readonly variant: string;
  readonly from_token: number;
}

export type FinishReason = "stop" | "length";

export type GenerationEvent =
  /** Nothing to tell yet: the request waits, or a token has no text of its own. */
  | { readonly type: "idle" }
  /** The next tokens of the prompt, from its second one on, where they were asked for. */
  | { readonly type: "prompt"; readonly tokens: readonly FrameToken[] }
  /**
   * Some text in whole characters, and where log-probabilities were asked for the tokens that end in it. One of them
   * may be empty.
   */
  | { readonly type: "text"; readonly text: string; readonly tokens: readonly FrameToken[] }
  /** The last event; with the token that ended the turn where log-probabilities were asked for. */
  | {
      readonly type: "end";
      readonly finishReason: FinishReason;
      readonly token?: FrameToken | undefined;
    };

export interface ChoiceEvent {
  /** Index of the choice. */
  readonly choice: number;
  readonly event: GenerationEvent;
}

export interface TokenCounts {
  readonly promptTokens: number;
  /** Of the prompt, those that an earlier request had computed. */
  readonly cachedTokens: number;
  readonly completionTokens: number;
}
