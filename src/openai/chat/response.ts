// Puts what came of the choices into the wire form: the whole completion, and the chunks of a streamed one.

import type { ChoiceEvent, Downshift, FinishReason, TokenCounts, WholeChoice } from "../../serving/index.ts";
import type { Tokenizer } from "../../tokenizer/index.ts";
import { chatLogprobs } from "../shared/logprobs.ts";
import { franken, type ReplyOptions } from "../shared/reply-head.ts";
import {
  createReplyReader,
  type ReadReply,
  type ReplyPiece,
  type ReplyReader,
  readReply,
} from "../shared/tool-calls.ts";
import { usage } from "../shared/usage.ts";
import type { ChatRequest } from "./request.ts";
import type { ChatChunk, ChatCompletion } from "./schema.ts";

/** The answer, as far as a reply tells of it. */
export interface Told {
  readonly tokenizer: Tokenizer;
  /** Choices there are. */
  readonly count: number;
  readonly downshifts: readonly Downshift[];
  /** Names what computed it; asked once a token has come. */
  readonly fingerprint: string;
  usage(): TokenCounts;
}

/** @param newCallId an id for a call of a tool */
export function chatCompletion(
  head: ReplyOptions,
  request: ChatRequest,
  answer: Told,
  choices: readonly WholeChoice[],
  newCallId: () => string,
): ChatCompletion {
  const { ask, format } = request;
  const messageOf = ({ content, calls }: ReadReply): ChatCompletion["choices"][number]["message"] => {
    const message = { role: "assistant", content, refusal: null } as const;
    if (calls.length === 0) return message;
    if (format.callsAs === "function_call") return { ...message, function_call: calls[0] };
    return {
      ...message,
      tool_calls: calls.map((call) => ({ id: newCallId(), type: "function" as const, function: call })),
    };
  };
  return {
    ...head,
    object: "chat.completion",
    choices: choices.map(({ text, tokens, finishReason }, index) => {
      const reply = readReply(format.mayCall, text, tokens);
      const isTold = ask.logprobs !== undefined && reply.content !== null;
      return {
        index,
        message: messageOf(reply),
        logprobs: isTold ? chatLogprobs(answer.tokenizer, reply.tokens) : null,
        finish_reason: finishReasonOf(request, finishReason, reply.calls.length),
      };
    }),
    usage: usage(answer.usage()),
    system_fingerprint: answer.fingerprint,
    ...serviceTier(request),
    ...franken(answer.downshifts),
  };
}

/** A reply that ends of itself says so by what it is. */
const finishReasonOf = ({ format }: ChatRequest, reason: FinishReason, calls: number) =>
  reason === "stop" && calls > 0 ? format.finishReason : reason;

const serviceTier = ({ serviceTier: tier }: ChatRequest): Pick<ChatCompletion, "service_tier"> =>
  tier ? { service_tier: tier } : {};

type ChunkChoice = ChatChunk["choices"][number];

/** Writes the chunks of one reply. @param newCallId an id for a call of a tool */
export function createChatWriter(head: ReplyOptions, request: ChatRequest, answer: Told, newCallId: () => string) {
  const { ask, format, includeUsage } = request;
  const readers = Array.from({ length: answer.count }, () => createReplyReader(format.mayCall));
  const chunk = (choices: ChunkChoice[], counts?: TokenCounts): ChatChunk => ({
    ...head,
    object: "chat.completion.chunk",
    system_fingerprint: answer.fingerprint,
    ...serviceTier(request),
    choices,
    ...(includeUsage ? { usage: counts ? usage(counts) : null } : {}),
  });
  const choice = (index: number, delta: ChunkChoice["delta"], rest: Partial<ChunkChoice> = {}): ChatChunk =>
    chunk([{ index, delta, logprobs: null, finish_reason: null, ...rest }]);
  const deltaOf = (piece: Exclude<ReplyPiece, { type: "content" }>): ChunkChoice["delta"] => {
    const isFirst = piece.type === "call";
    const called = isFirst ? { name: piece.name, arguments: "" } : { arguments: piece.text };
    if (format.callsAs === "function_call") return { function_call: called };
    const id = isFirst ? { id: newCallId(), type: "function" as const } : {};
    return { tool_calls: [{ index: piece.index, ...id, function: called }] };
  };
  const pieceChunk = (index: number, piece: ReplyPiece): ChatChunk => {
    if (piece.type !== "content") return choice(index, deltaOf(piece));
    const logprobs = ask.logprobs === undefined ? null : chatLogprobs(answer.tokenizer, piece.tokens);
    return choice(index, { content: piece.text }, { logprobs });
  };
  const chunksOf = ({ choice: index, event }: ChoiceEvent): ChatChunk[] => {
    const reader = readers[index] as ReplyReader;
    if (event.type === "text") return reader.push(event.text, event.tokens).map((piece) => pieceChunk(index, piece));
    if (event.type !== "end") return [];
    const rest = reader.end().map((piece) => pieceChunk(index, piece));
    const last = choice(index, {}, { finish_reason: finishReasonOf(request, event.finishReason, reader.calls) });
    return [...rest, { ...last, ...(index === 0 ? franken(answer.downshifts) : {}) }];
  };
  const data = (chunks: ChatChunk[]) => chunks.map((chunk) => ({ data: chunk }));
  return {
    begin: () => {
      // A reply of calls has no text, not an empty one.
      const content = format.mayCall ? null : "";
      return data(readers.map((_, i) => choice(i, { role: "assistant" as const, content })));
    },
    write: (event: ChoiceEvent) => data(chunksOf(event)),
    end: () => [...(includeUsage ? data([chunk([], answer.usage())]) : []), { data: "[DONE]" as const }],
  };
}
