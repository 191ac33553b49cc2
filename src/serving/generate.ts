// One generation as text: the replica's tokens decoded, cut at stop strings and counted. Streamed and whole replies both come from here.

import { replicaError } from "../openai/errors.ts";
import { readFrames } from "../replica/client.ts";
import type { FrameToken, GenerateRequest, Replica, StatusFrame } from "../replica/protocol.ts";
import type { Tokenizer } from "../tokenizer/index.ts";
import { createStopFinder } from "./stop.ts";

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
  /** Some text in whole characters, and where log-probabilities were asked for the tokens that end in it. One of them may be empty. */
  | { readonly type: "text"; readonly text: string; readonly tokens: readonly FrameToken[] }
  /** The last event; with the token that ended the turn where log-probabilities were asked for. */
  | { readonly type: "end"; readonly finishReason: FinishReason; readonly token?: FrameToken | undefined };

export interface Generation {
  /** Leaving the loop cancels the replica. Throws ApiError, ReplicaGoneError, or the signal's reason once that is aborted. */
  readonly events: AsyncGenerator<GenerationEvent, void, undefined>;
  /** Tokens that the replica has sent so far; the end token is not among them. */
  readonly completionTokens: number;
  /** Their ids. */
  readonly completionIds: readonly number[];
  /** Tokens of the prompt that were there from earlier requests. */
  readonly cachedTokens: number;
  /** Variants that went on with the answer, so far. */
  readonly downshifts: readonly Downshift[];
  /** Milliseconds that the reader of the events took between them. */
  readonly readerMs: number;
  /** Of the replica's weights and engine; empty until they are loaded. */
  readonly digest: string;
}

export interface GenerationOptions {
  readonly replica: Replica;
  readonly request: GenerateRequest;
  readonly tokenizer: Tokenizer;
  readonly stop: readonly string[];
  /** A reply that begins with this is not cut at `stop`. Default: there is no such text. */
  readonly unstopped?: string | undefined;
  readonly signal: AbortSignal;
  /** As `ReplyFormat` has it. */
  readonly grammarField?: ((text: string) => string | undefined) | undefined;
  /** Called with how it stands with the replica when the request comes there, and once more where the weights were not loaded then. */
  onStatus?(status: StatusFrame): void;
  /** Called when the prompt's computation begins. @param maxTokens of the reply, where there is room for fewer than asked for */
  onStart?(cachedTokens: number, maxTokens: number | undefined): void;
  /** Called as each token comes. */
  onToken?(): void;
  /** Called when another variant goes on. */
  onVariant?(id: string, fromToken: number): void;
  now(): number;
}

export function startGeneration(options: GenerationOptions): Generation {
  const { replica, request, tokenizer, stop, unstopped, grammarField, signal } = options;
  const { onStatus, onStart, onToken, onVariant, now } = options;
  const completionIds: number[] = [];
  let cachedTokens = 0;
  let readerMs = 0;
  let digest = "";
  const downshifts: Downshift[] = [];
  async function* events(): AsyncGenerator<GenerationEvent, void, undefined> {
    const decoding = tokenizer.createDecoding();
    const stops = createStopFinder(stop, unstopped);
    const held = createTokenQueue(request.logprobs !== undefined);
    for await (const frame of readFrames(replica, request, signal)) {
      if (frame.type === "error") {
        const { code, message, retryMs } = frame;
        const param = code === "grammar_failed" ? grammarField?.(tokenizer.decode(completionIds)) : undefined;
        throw replicaError(code, message, { retryMs, param });
      }
      if (frame.type === "prompt") {
        yield frame;
      } else if (frame.type === "token") {
        completionIds.push(frame.id);
        onToken?.();
        const { type: _, ...token } = frame;
        const decoded = decoding.push(token.id);
        const text = stops.push(decoded);
        const tokens = held.push(token, decoded, text, stops.found);
        if (text || tokens.length > 0) yield { type: "text", text, tokens };
        else if (!stops.found) yield { type: "idle" };
        if (stops.found) return yield { type: "end", finishReason: "stop" };
      } else if (frame.type === "end") {
        const text = stops.push(decoding.end()) + stops.end();
        const tokens = held.end();
        if (text || tokens.length > 0) yield { type: "text", text, tokens };
        const finishReason = stops.found ? "stop" : frame.reason;
        return yield { type: "end", finishReason, token: stops.found ? undefined : frame.token };
      } else if (frame.type === "start") {
        // Not told on: an error that comes before the first token still gets a status of its own.
        cachedTokens = frame.cached;
        onStart?.(frame.cached, frame.maxTokens);
      } else if (frame.type === "status") {
        digest = frame.digest;
        onStatus?.(frame);
      } else if (frame.type === "variant") {
        downshifts.push({ variant: frame.id, from_token: frame.fromToken });
        onVariant?.(frame.id, frame.fromToken);
        yield { type: "idle" };
      } else {
        yield { type: "idle" };
      }
    }
  }
  async function* timed(): AsyncGenerator<GenerationEvent, void, undefined> {
    for await (const event of events()) {
      const given = now();
      yield event;
      readerMs += now() - given;
    }
  }
  return {
    events: timed(),
    get completionTokens() {
      return completionIds.length;
    },
    completionIds,
    get cachedTokens() {
      return cachedTokens;
    },
    downshifts,
    get readerMs() {
      return readerMs;
    },
    get digest() {
      return digest;
    },
  };
}

/** Keeps tokens back until their text goes out: a token that a stop string swallows whole is never told. */
function createTokenQueue(enabled: boolean) {
  /** With the place in the text where each begins and ends. */
  const queue: { readonly token: FrameToken; readonly from: number; readonly to: number }[] = [];
  let decoded = 0;
  let released = 0;
  const take = (count: number): FrameToken[] => queue.splice(0, count).map(({ token }) => token);
  return {
    /** @returns tokens whose text is out; of the last text before a stop string, also the one that is cut */
    push(token: FrameToken, text: string, out: string, isLast: boolean): FrameToken[] {
      if (!enabled) return [];
      queue.push({ token, from: decoded, to: decoded + text.length });
      decoded += text.length;
      released += out.length;
      const kept = queue.findIndex(({ from, to }) => (isLast ? from >= released : to > released));
      return take(kept < 0 ? queue.length : kept);
    },
    end: (): FrameToken[] => take(queue.length),
  };
}
