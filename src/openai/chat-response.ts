// The wire form of replies: the whole completion, and the chunks of a streamed one.
import { z } from "@hono/zod-openapi";
import type { Downshift, FinishReason } from "./generate.ts";

const usageSchema = z
  .object({
    prompt_tokens: z.int(),
    completion_tokens: z.int().openapi({ description: "Tokens generated, the end token not among them." }),
    total_tokens: z.int(),
  })
  .openapi("Usage");

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
        index: z.literal(0),
        message: z.object({ role: z.literal("assistant"), content: z.string(), refusal: z.null() }),
        logprobs: z.null(),
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
          index: z.literal(0),
          delta: z.object({ role: z.literal("assistant").optional(), content: z.string().optional() }),
          logprobs: z.null(),
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
  readonly downshifts?: readonly Downshift[];
}

export interface TokenCounts {
  readonly promptTokens: number;
  readonly completionTokens: number;
}

export function chatCompletion(
  { id, created, model, fingerprint, downshifts = [] }: ReplyOptions,
  content: string,
  finishReason: FinishReason,
  counts: TokenCounts,
): ChatCompletion {
  return {
    id,
    object: "chat.completion",
    created,
    model,
    choices: [
      { index: 0, message: { role: "assistant", content, refusal: null }, logprobs: null, finish_reason: finishReason },
    ],
    usage: usage(counts),
    system_fingerprint: fingerprint,
    ...franken(downshifts),
  };
}

const franken = (downshifts: readonly Downshift[]): Pick<ChatCompletion, "franken"> =>
  downshifts.length > 0 ? { franken: { downshifts: [...downshifts] } } : {};

/** Makes the chunks of one reply, which share all but delta, finish reason and usage. */
export function chunksOf({ id, created, model, fingerprint }: ReplyOptions, includeUsage: boolean) {
  const chunk = (choices: ChatChunk["choices"], counts?: TokenCounts): ChatChunk => ({
    id,
    object: "chat.completion.chunk",
    created,
    model,
    system_fingerprint: fingerprint,
    choices,
    ...(includeUsage ? { usage: counts ? usage(counts) : null } : {}),
  });
  const choice = (delta: ChatChunk["choices"][number]["delta"], finishReason: FinishReason | null): ChatChunk =>
    chunk([{ index: 0, delta, logprobs: null, finish_reason: finishReason }]);
  return {
    role: (): ChatChunk => choice({ role: "assistant", content: "" }, null),
    text: (content: string): ChatChunk => choice({ content }, null),
    finish: (reason: FinishReason, downshifts: readonly Downshift[] = []): ChatChunk => ({
      ...choice({}, reason),
      ...franken(downshifts),
    }),
    usage: (counts: TokenCounts): ChatChunk => chunk([], counts),
  };
}

const usage = ({ promptTokens, completionTokens }: TokenCounts): z.infer<typeof usageSchema> => ({
  prompt_tokens: promptTokens,
  completion_tokens: completionTokens,
  total_tokens: promptTokens + completionTokens,
});
