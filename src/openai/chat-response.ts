// The wire form of replies: the whole completion, and the chunks of a streamed one.
import { z } from "@hono/zod-openapi";
import type { Tokenizer } from "../tokenizer/index.ts";
import type { ChatRequest } from "./chat-request.ts";
import type { ChoiceEvent, WholeChoice } from "./choices.ts";
import type { Downshift, FinishReason } from "./generate.ts";
import { chatLogprobs, logprobsSchema } from "./logprobs.ts";
import { type TokenCounts, usage, usageSchema } from "./usage.ts";

const head = {
  id: z.string().openapi({ example: "chatcmpl-0f2a6c1e9b7d4853" }),
  created: z.int().openapi({ description: "Unix seconds." }),
  model: z.string().openapi({ example: "smollm2-135m" }),
  system_fingerprint: z.string().openapi({
    description: "Changes when the same request with the same seed may get another text.",
    example: "fp_3fb1c0a2d94e",
  }),
};
const frankenSchema = z
  .object({
    downshifts: z.array(z.object({ variant: z.string(), from_token: z.int() })).openapi({
      description: "Variants that went on with the answer, each from one of its tokens on, counted from 0.",
    }),
  })
  .optional()
  .openapi({ description: "Only in replies that a budget with `downshift` made go on with a lighter variant." });
const finishReasonSchema = z.enum(["stop", "length"]);

export const chatCompletionSchema = z
  .object({
    ...head,
    object: z.literal("chat.completion"),
    choices: z.array(
      z.object({
        index: z.int(),
        message: z.object({ role: z.literal("assistant"), content: z.string(), refusal: z.null() }),
        logprobs: logprobsSchema.nullable(),
        finish_reason: finishReasonSchema,
      }),
    ),
    usage: usageSchema,
    franken: frankenSchema,
  })
  .openapi("ChatCompletion");
export type ChatCompletion = z.infer<typeof chatCompletionSchema>;

export const chatChunkSchema = z
  .object({
    ...head,
    object: z.literal("chat.completion.chunk"),
    choices: z
      .array(
        z.object({
          index: z.int(),
          delta: z.object({ role: z.literal("assistant").optional(), content: z.string().optional() }),
          logprobs: logprobsSchema.nullable(),
          finish_reason: finishReasonSchema.nullable(),
        }),
      )
      .openapi({ description: "Empty in the chunk that carries the usage." }),
    usage: usageSchema.nullish().openapi({ description: "With `include_usage`: null in all chunks but the last." }),
    franken: frankenSchema,
  })
  .openapi("ChatCompletionChunk");
export type ChatChunk = z.infer<typeof chatChunkSchema>;

export interface ReplyOptions {
  readonly id: string;
  /** Unix seconds. */
  readonly created: number;
  readonly model: string;
  readonly fingerprint: string;
}

/** The answer, as far as a reply tells of it. */
export interface Told {
  readonly tokenizer: Tokenizer;
  /** Choices there are. */
  readonly count: number;
  readonly downshifts: readonly Downshift[];
  usage(): TokenCounts;
}

export function chatCompletion(
  { fingerprint, ...head }: ReplyOptions,
  { ask }: ChatRequest,
  answer: Told,
  choices: readonly WholeChoice[],
): ChatCompletion {
  return {
    ...head,
    object: "chat.completion",
    choices: choices.map(({ text, tokens, finishReason }, index) => ({
      index,
      message: { role: "assistant", content: text, refusal: null },
      logprobs: ask.logprobs === undefined ? null : chatLogprobs(answer.tokenizer, tokens),
      finish_reason: finishReason,
    })),
    usage: usage(answer.usage()),
    system_fingerprint: fingerprint,
    ...franken(answer.downshifts),
  };
}

const franken = (downshifts: readonly Downshift[]): Pick<ChatCompletion, "franken"> =>
  downshifts.length > 0 ? { franken: { downshifts: [...downshifts] } } : {};

type ChunkChoice = ChatChunk["choices"][number];

/** Writes the chunks of one reply. */
export function createChatWriter(
  { fingerprint, ...head }: ReplyOptions,
  { ask, includeUsage }: ChatRequest,
  answer: Told,
) {
  const chunk = (choices: ChunkChoice[], counts?: TokenCounts): ChatChunk => ({
    ...head,
    object: "chat.completion.chunk",
    system_fingerprint: fingerprint,
    choices,
    ...(includeUsage ? { usage: counts ? usage(counts) : null } : {}),
  });
  const choice = (index: number, delta: ChunkChoice["delta"], rest: Partial<ChunkChoice> = {}): ChatChunk =>
    chunk([{ index, delta, logprobs: null, finish_reason: null, ...rest }]);
  const finish = (index: number, reason: FinishReason): ChatChunk => ({
    ...choice(index, {}, { finish_reason: reason }),
    ...(index === 0 ? franken(answer.downshifts) : {}),
  });
  const chunksOf = ({ choice: index, event }: ChoiceEvent): ChatChunk[] => {
    if (event.type === "end") return [finish(index, event.finishReason)];
    if (event.type !== "text") return [];
    const logprobs = ask.logprobs === undefined ? null : chatLogprobs(answer.tokenizer, event.tokens);
    return [choice(index, { content: event.text }, { logprobs })];
  };
  const data = (chunks: ChatChunk[]) => chunks.map((chunk) => ({ data: chunk }));
  return {
    begin: () =>
      data(Array.from({ length: answer.count }, (_, i) => choice(i, { role: "assistant" as const, content: "" }))),
    write: (event: ChoiceEvent) => data(chunksOf(event)),
    end: () => [...(includeUsage ? data([chunk([], answer.usage())]) : []), { data: "[DONE]" as const }],
  };
}
