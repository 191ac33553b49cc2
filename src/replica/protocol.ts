// What the gateway and a replica say to each other: token ids only. A generation is a stream of frames, one JSON document a line.
import { z } from "zod";
import type { Grammar } from "../grammar/index.ts";
import type { TimeAllowed } from "../scheduler/index.ts";
import type { ScoreAnswer, ScoreRequest } from "../scoring/index.ts";

/** How tokens are drawn; `SamplerOptions` says what each field does. */
export interface Sampling {
  readonly temperature: number;
  readonly topP: number;
  readonly presencePenalty?: number | undefined;
  readonly frequencyPenalty?: number | undefined;
  /** Pairs of token id and bias. */
  readonly logitBias?: readonly (readonly [number, number])[] | undefined;
  /** Its low 64 bits count. */
  readonly seed: number | bigint;
  /** Choices under one seed draw from streams of their own. Default: 0. */
  readonly choice?: number | undefined;
}

export interface GenerateRequest extends Sampling {
  /** Names the generation. Drawn by the gateway: a client cannot choose or repeat it. */
  readonly id: string;
  /** For the log alone: ties a replica's lines to the gateway's. A client may have chosen it. */
  readonly requestId: string;
  /** Variant id, one of the catalogue's. */
  readonly variant: string;
  readonly promptIds: readonly number[];
  /** The replica lowers it to what it has room for. 0 only with `promptLogprobs`. */
  readonly maxTokens: number;
  /** Requests of one scope, a client's, go on from each other's prompts and replies where theirs begin alike. Default: they do not. */
  readonly scope?: string | undefined;
  /** Each token comes with its log-probability and with those of this many of the likeliest. Default: with neither. */
  readonly logprobs?: number | undefined;
  /** The prompt's tokens from the second one on come with theirs too. Default: they do not come at all. */
  readonly promptLogprobs?: number | undefined;
  /** What the reply must fit; `compileGrammar` makes it. Default: none. */
  readonly grammar?: Grammar | undefined;
  /** Nobody waits for the answer now: it goes on beside others. Default: somebody does. */
  readonly background?: boolean | undefined;
  /** What is left of the request's budget in time. Default: nothing hurries it. */
  readonly allowed?: TimeAllowed | undefined;
  /** The generation is stopped with `deadline_exceeded` this long after it was asked for. */
  readonly deadlineMs: number;
}

const likeliest = z.array(z.tuple([z.int().nonnegative(), z.number()]));
/** A token with natural log-probabilities of the model's own distribution, where they were asked for; `top` is likeliest first. */
const tokenSchema = z.strictObject({
  id: z.int().nonnegative(),
  logprob: z.number().optional(),
  top: likeliest.optional(),
});
export type FrameToken = z.infer<typeof tokenSchema>;

export const frameSchema = z.discriminatedUnion("type", [
  /** How it stands with the replica: the first frame, and once more when the weights are loaded where they were not. */
  z.strictObject({
    type: z.literal("status"),
    state: z.enum(["idle", "loading", "ready", "failed"]),
    engine: z.string(),
    digest: z.string(),
    queued: z.int().nonnegative(),
    running: z.int().nonnegative(),
    weights: z.array(z.string()).optional(),
    capacities: z.record(z.string(), z.number()).optional(),
  }),
  /** Still queued or prefilling; written at least every 200 ms, so that a client that left is noticed. */
  z.strictObject({ type: z.literal("wait") }),
  /** The prompt is being computed; `cached` of its tokens were there already. With `maxTokens` where there is room for fewer than asked. */
  z.strictObject({
    type: z.literal("start"),
    cached: z.int().nonnegative(),
    maxTokens: z.int().nonnegative().optional(),
  }),
  /** The next tokens of the prompt, from its second one on. */
  z.strictObject({ type: z.literal("prompt"), tokens: z.array(tokenSchema) }),
  tokenSchema.extend({ type: z.literal("token") }),
  /** Tokens from `fromToken` on, counted from 0, come from another variant than the one asked for. */
  z.strictObject({ type: z.literal("variant"), id: z.string(), fromToken: z.int().nonnegative() }),
  /** `stop`: the model ended its turn, with `token` where its log-probability was asked for, or a grammar did; `length`: `maxTokens` were sent. */
  z.strictObject({ type: z.literal("end"), reason: z.enum(["stop", "length"]), token: tokenSchema.optional() }),
  z.strictObject({
    type: z.literal("error"),
    code: z.enum([
      "deadline_exceeded",
      "key_overloaded",
      "overloaded",
      "out_of_memory",
      "too_large",
      "context_overflow",
      "damaged_weights",
      "not_finite",
      "grammar_failed",
      "internal",
    ]),
    message: z.string(),
    /** When another attempt will be taken; where it is absent, nobody knows. */
    retryMs: z.number().nonnegative().optional(),
  }),
]);
export type Frame = z.infer<typeof frameSchema>;
/** Says the same as `ReplicaStatus` does, before the generation itself is counted. */
export type StatusFrame = Extract<Frame, { type: "status" }>;
export type ReplicaErrorCode = Extract<Frame, { type: "error" }>["code"];

export interface ReplicaStatus {
  /** `idle`: nothing is loaded, and nothing asks for it. */
  readonly state: "idle" | "loading" | "ready" | "failed";
  /** 0 to 1 while loading. */
  readonly progress: number;
  /** Why loading failed. */
  readonly error: string | undefined;
  readonly engine: string;
  /** Digest of weights and engine. */
  readonly digest: string;
  /** Of the memory that the weights are in, with all that are in it. */
  readonly residentBytes: number;
  readonly queued: number;
  readonly running: number;
  /** All weight sets that have room in that memory, loaded or not, the one that it is named by first. Absent: it alone. */
  readonly weights?: readonly string[];
  /** Most tokens, prompt and reply together, that a sequence of each variant may have here, of all whose weights are loaded. */
  readonly capacities?: Readonly<Record<string, number>>;
}

/** One item of an evaluation. */
export interface MeasureRequest {
  /** Variant id, one of the catalogue's. */
  readonly variant: string;
  readonly requests: readonly ScoreRequest[];
}

export type MeasureReply =
  /** `answers`: one per request, in order. */
  | {
      readonly state: "measured";
      readonly engine: string;
      readonly digest: string;
      readonly answers: readonly ScoreAnswer[];
    }
  /** There is something to generate; nothing was measured. */
  | { readonly state: "busy" }
  /** The variant gives nothing that a score can be made of, now and the next time. */
  | { readonly state: "failed"; readonly engine: string; readonly digest: string; readonly message: string };

/** An answer, and two variants whose weights share a memory. */
export interface CompareRequest {
  /** For the log. */
  readonly requestId: string;
  /** Id of the variant that gave the answer. */
  readonly reference: string;
  /** Id of the variant that is held against it. */
  readonly variant: string;
  /** At least one token. */
  readonly promptIds: readonly number[];
  /** At least one token. */
  readonly replyIds: readonly number[];
  /** As of `GenerateRequest`: what requests of the scope have computed is not computed again. */
  readonly scope?: string | undefined;
}

export type CompareReply =
  /** Means over the reply's tokens. */
  | {
      readonly state: "compared";
      readonly engine: string;
      readonly digest: string;
      readonly tokens: number;
      /** KL divergence of the variant from the reference over the whole vocabulary, nats a token. */
      readonly kl: number;
      /** Share of the tokens where both hold the same token for the likeliest. */
      readonly agreement: number;
      /** Minus the natural logarithm of what the variant gives the reply's tokens; `exp` of it is their perplexity. */
      readonly nll: number;
    }
  /** Not now: there is something to generate, or what was generated so far has not earned this much work. */
  | { readonly state: "busy"; readonly reason: "live" | "share" }
  /** This answer can never be compared. */
  | { readonly state: "failed"; readonly engine: string; readonly digest: string; readonly message: string };

/** The replica as its caller sees it; the Durable Object implements it, the gateway calls it by RPC, a test may stand in for it. */
export interface Replica {
  /**
   * Tells how far a weight set is.
   * @param wake starts the loading if nothing has yet, unless other weights would have to go for it. Default: true
   */
  status(weightsId: string, wake?: boolean): Promise<ReplicaStatus>;
  /** Frames of one generation. Cancelling the stream stops the computation. Loads first if nothing has yet. */
  generate(request: GenerateRequest): Promise<ReadableStream<Uint8Array>>;
  /**
   * Goes on with a generation under another variant, whose KV slots must be among those of the one so far. False when the generation is
   * over or cannot go on that way; it then runs on as it was.
   */
  switchVariant(id: string, variant: string): Promise<boolean>;
  /**
   * Measures an item while there is nothing to generate, and gives way at once to what comes. Loads first if nothing has yet.
   * @throws Error when the weights cannot be loaded
   */
  measure(request: MeasureRequest): Promise<MeasureReply>;
  /**
   * Runs an answer of one variant through another while there is nothing to generate, and gives way at once to what comes; takes no more
   * than the configured share of what generations take. Loads first if nothing has yet.
   * @throws Error when the weights cannot be loaded
   */
  compare(request: CompareRequest): Promise<CompareReply>;
}
