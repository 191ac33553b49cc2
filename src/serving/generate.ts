// One generation as text: the replica's frames decoded, cut at stop strings and counted.
import type { Frame } from "../replica/index.ts";
import type { Tokenizer } from "../tokenizer/index.ts";
import { ServingError } from "./errors.ts";
import type { Downshift, GenerationEvent } from "./events.ts";
import type { GenerationRequest } from "./request.ts";
import { createStopFinder } from "./stop.ts";
import { createTokenQueue } from "./token-queue.ts";

/** What has come of a generation so far. */
export interface Progress {
  /** Ids of the tokens that the replica has sent; the end token is not among them. */
  readonly completionIds: number[];
  /** Variants that went on with the answer. */
  readonly downshifts: Downshift[];
  /** Tokens of the prompt that were there from earlier requests. */
  cachedTokens: number;
  /** Of the replica's weights and engine; empty until they are loaded. */
  digest: string;
}

export const newProgress = (): Progress => ({
  completionIds: [],
  downshifts: [],
  cachedTokens: 0,
  digest: "",
});

export interface DecodeOptions extends Pick<GenerationRequest, "stop" | "unstopped" | "logprobs" | "grammarField"> {
  readonly tokenizer: Tokenizer;
  /** Is kept up to date. */
  readonly progress: Progress;
}

/** @throws ServingError for what the replica fails of, and what the frames throw */
export async function* decode(
  frames: AsyncIterable<Frame>,
  { tokenizer, stop, unstopped, logprobs, grammarField, progress }: DecodeOptions,
): AsyncGenerator<GenerationEvent, void, undefined> {
  const decoding = tokenizer.createDecoding();
  const stops = createStopFinder(stop, unstopped);
  const held = createTokenQueue(logprobs !== undefined);
  for await (const frame of frames) {
    if (frame.type === "error") {
      const { code, message, retryMs } = frame;
      const said = code === "grammar_failed" ? tokenizer.decode(progress.completionIds) : undefined;
      throw new ServingError(code, message, { retryMs, param: said === undefined ? said : grammarField?.(said) });
    }
    // Not told on: an error that comes before the first token still gets a status of its own.
    if (note(progress, frame)) continue;
    if (frame.type === "token") {
      const { type: _, ...token } = frame;
      progress.completionIds.push(token.id);
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
      const { found } = stops;
      return yield { type: "end", finishReason: found ? "stop" : frame.reason, token: found ? undefined : frame.token };
    } else {
      yield frame.type === "prompt" ? frame : { type: "idle" };
    }
  }
}

/** Takes in a frame that tells of the generation. @returns whether that is all that the frame is for */
function note(progress: Progress, frame: Frame): boolean {
  if (frame.type === "status") progress.digest = frame.digest;
  if (frame.type === "variant") progress.downshifts.push({ variant: frame.id, from_token: frame.fromToken });
  if (frame.type === "start") progress.cachedTokens = frame.cached;
  return frame.type === "status" || frame.type === "start";
}
