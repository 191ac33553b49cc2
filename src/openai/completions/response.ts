// The wire form of POST /v1/completions' replies: the whole completion, and the chunks of a streamed one.
import { z } from "@hono/zod-openapi";
import type { ChoiceEvent, FinishReason, Prompt, TokenCounts, WholeChoice } from "../../serving/index.ts";
import type { Told } from "../chat/response.ts";
import { franken, frankenSchema, type ReplyOptions, replyHead } from "../shared/reply-head.ts";
import { usage, usageSchema } from "../shared/usage.ts";
import { completionLogprobsSchema, createPieceWriter, joinPieces, type Piece } from "./pieces.ts";
import type { CompletionRequest } from "./request.ts";

const head = {
  id: z.string().openapi({ example: "cmpl-0f2a6c1e9b7d4853" }),
  object: z.literal("text_completion"),
  ...replyHead,
};
const finishReasonSchema = z.enum(["stop", "length"]);
const choice = {
  index: z.int().openapi({ description: "`n` for the first prompt, then as many for the next." }),
  text: z.string(),
  logprobs: completionLogprobsSchema.nullable(),
};

export const completionSchema = z
  .object({
    ...head,
    choices: z.array(z.object({ ...choice, finish_reason: finishReasonSchema })),
    usage: usageSchema,
    franken: frankenSchema,
  })
  .openapi("Completion");
export type Completion = z.infer<typeof completionSchema>;

export const completionChunkSchema = z
  .object({
    ...head,
    choices: z
      .array(z.object({ ...choice, finish_reason: finishReasonSchema.nullable() }))
      .openapi({ description: "Empty in the chunk that carries the usage." }),
    usage: usageSchema.nullish().openapi({ description: "With `include_usage`: null in all chunks but the last." }),
    franken: frankenSchema,
  })
  .openapi("CompletionChunk");
export type CompletionChunk = z.infer<typeof completionChunkSchema>;

/** The answer, as far as a reply tells of it. */
export interface ToldCompletion extends Told {
  readonly prompts: readonly Prompt[];
}

export function completion(
  head: ReplyOptions,
  request: CompletionRequest,
  answer: ToldCompletion,
  all: readonly WholeChoice[],
): Completion {
  const choices = answer.prompts.flatMap((prompt, i) =>
    best(all.slice(i * request.ask.n, (i + 1) * request.ask.n), request).map((choice) => ({
      ...wholePiece(choice, prompt, request, answer),
      finish_reason: choice.finishReason,
    })),
  );
  return {
    ...head,
    object: "text_completion",
    choices: choices.map((choice, index) => ({ index, ...choice })),
    usage: usage(answer.usage()),
    system_fingerprint: answer.fingerprint,
    ...franken(answer.downshifts),
  };
}

/** The choices to tell of one prompt's. */
const best = (choices: readonly WholeChoice[], { n, ranked }: CompletionRequest): readonly WholeChoice[] =>
  ranked ? choices.toSorted((a, b) => meanLogprob(b) - meanLogprob(a)).slice(0, n) : choices;

/** A choice that a stop string left without a token is the last. */
function meanLogprob({ tokens, endToken }: WholeChoice): number {
  const all = endToken ? [...tokens, endToken] : tokens;
  if (all.length === 0) return -Number.MAX_VALUE;
  return all.reduce((sum, { logprob = 0 }) => sum + logprob, 0) / all.length;
}

function wholePiece(
  { promptTokens, text, tokens, endToken, finishReason }: WholeChoice,
  prompt: Prompt,
  request: CompletionRequest,
  answer: ToldCompletion,
): Piece {
  const writer = createPieceWriter({ ...request, tokenizer: answer.tokenizer, promptIds: prompt.ids });
  return joinPieces(
    [
      writer.begin(),
      writer.write({ type: "prompt", tokens: promptTokens }),
      writer.write({ type: "text", text, tokens }),
      writer.write({ type: "end", finishReason, token: endToken }),
    ].filter((piece) => piece !== undefined),
  );
}

/** Writes the chunks of one reply. */
export function createCompletionWriter(head: ReplyOptions, request: CompletionRequest, answer: ToldCompletion) {
  const writers = Array.from({ length: answer.count }, (_, i) =>
    createPieceWriter({
      ...request,
      tokenizer: answer.tokenizer,
      promptIds: (answer.prompts[Math.floor(i / request.ask.n)] as Prompt).ids,
    }),
  );
  const chunk = (choices: CompletionChunk["choices"], counts?: TokenCounts): { data: CompletionChunk } => ({
    data: {
      ...head,
      object: "text_completion",
      system_fingerprint: answer.fingerprint,
      choices,
      ...(request.includeUsage ? { usage: counts ? usage(counts) : null } : {}),
    },
  });
  const tell = (index: number, piece: Piece | undefined, finish_reason: FinishReason | null = null) =>
    piece || finish_reason ? [chunk([{ index, text: "", logprobs: null, ...piece, finish_reason }])] : [];
  return {
    begin: () => writers.flatMap((writer, index) => tell(index, writer.begin())),
    write({ choice: index, event }: ChoiceEvent) {
      const piece = (writers[index] as (typeof writers)[number]).write(event);
      if (event.type !== "end") return tell(index, piece);
      return tell(index, piece, event.finishReason).map(({ data }) => ({
        data: index === 0 ? { ...data, ...franken(answer.downshifts) } : data,
      }));
    },
    end: () => [...(request.includeUsage ? [chunk([], answer.usage())] : []), { data: "[DONE]" as const }],
  };
}
