// One generation as text: the replica's tokens decoded, cut at stop strings and counted. Streamed and whole replies both come from here.
import { readFrames } from "../replica/client.ts";
import type { GenerateRequest, Replica } from "../replica/protocol.ts";
import type { Tokenizer } from "../tokenizer/index.ts";
import { replicaError } from "./errors.ts";
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
  /** Some text, never empty, in whole characters. */
  | { readonly type: "text"; readonly text: string }
  /** The last event. */
  | { readonly type: "end"; readonly finishReason: FinishReason };

export interface Generation {
  /** Leaving the loop cancels the replica. Throws ApiError, ReplicaGoneError, or the signal's reason once that is aborted. */
  readonly events: AsyncGenerator<GenerationEvent, void, undefined>;
  /** Tokens that the replica has sent so far; the end token is not among them. */
  readonly completionTokens: number;
  /** Variants that went on with the answer, so far. */
  readonly downshifts: readonly Downshift[];
  /** Milliseconds that the reader of the events took between them. */
  readonly readerMs: number;
}

export interface GenerationOptions {
  readonly replica: Replica;
  readonly request: GenerateRequest;
  readonly tokenizer: Tokenizer;
  readonly stop: readonly string[];
  readonly signal: AbortSignal;
  /** Called as each token comes. */
  onToken(): void;
  /** Called when another variant goes on. */
  onVariant(id: string, fromToken: number): void;
  now(): number;
}

export function startGeneration(options: GenerationOptions): Generation {
  const { replica, request, tokenizer, stop, signal, onToken, onVariant, now } = options;
  let completionTokens = 0;
  let readerMs = 0;
  const downshifts: Downshift[] = [];
  async function* events(): AsyncGenerator<GenerationEvent, void, undefined> {
    const decoding = tokenizer.createDecoding();
    const stops = createStopFinder(stop);
    for await (const frame of readFrames(replica, request, signal)) {
      if (frame.type === "error") throw replicaError(frame.code, frame.message);
      if (frame.type === "wait") {
        yield { type: "idle" };
      } else if (frame.type === "variant") {
        downshifts.push({ variant: frame.id, from_token: frame.fromToken });
        onVariant(frame.id, frame.fromToken);
        yield { type: "idle" };
      } else if (frame.type === "token") {
        completionTokens++;
        onToken();
        const text = stops.push(decoding.push(frame.id));
        if (text || !stops.found) yield text ? { type: "text", text } : { type: "idle" };
        if (stops.found) return yield { type: "end", finishReason: "stop" };
      } else {
        const text = stops.push(decoding.end()) + stops.end();
        if (text) yield { type: "text", text };
        return yield { type: "end", finishReason: stops.found ? "stop" : frame.reason };
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
      return completionTokens;
    },
    downshifts,
    get readerMs() {
      return readerMs;
    },
  };
}
