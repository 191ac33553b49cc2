// The body of POST /v1/chat/completions: its schema, and what the rest of the gateway needs of it.
import { z } from "@hono/zod-openapi";
import { MAX_LIKELIEST } from "../engine/types.ts";
import type { ChatMessage } from "../tokenizer/index.ts";
import type { Ask } from "./ask.ts";
import { budgetSchema } from "./budget.ts";
import { ApiError } from "./errors.ts";
import { logitBiasSchema, parseLogitBias } from "./logit-bias.ts";
import { DEFAULT_MAX_TOKENS, fitPrompt } from "./prompt.ts";
import { refuseUnsupported, unsupportedFields } from "./unsupported.ts";
import { validate } from "./validate.ts";

/** Choices of one request. */
const MAX_CHOICES = 16;

/** The start of a value that a client sent, for an error message. */
const quote = (value: unknown): string => `'${String(value).slice(0, 40)}'`;

const textPartSchema = z.object({
  type: z.literal("text", {
    error: ({ input }) =>
      input === undefined ? undefined : `parts of type ${quote(input)} are not supported, only 'text'`,
  }),
  text: z.string(),
});

const messageSchema = z
  .object({
    role: z
      .enum(["system", "developer", "user", "assistant"], {
        error: ({ input }) =>
          typeof input === "string"
            ? `${quote(input)} is not one of the supported roles 'system', 'developer', 'user' and 'assistant'`
            : undefined,
      })
      .openapi({ description: "`developer` is rendered as `system`." }),
    content: z.union([z.string(), z.array(textPartSchema).min(1)], {
      error: "expected a string or a non-empty array of parts of type 'text'",
    }),
  })
  .openapi("ChatMessage", {
    description:
      "What a message spells of a special token, such as `<|im_end|>`, stays text. Parts are joined by line breaks. `name` has no effect.",
  });

export const chatRequestSchema = z
  .object({
    model: z.string().min(1).openapi({
      description: "One of the ids of `GET /v1/models`: a variant, or `auto` for the best one within `budget`.",
    }),
    messages: z.array(messageSchema).min(1, "expected at least one message"),
    temperature: z
      .number()
      .min(0)
      .max(2)
      .nullish()
      .openapi({ description: "0 takes the likeliest token. Default: 1." }),
    top_p: z.number().min(0).max(1).nullish().openapi({ description: "Default: 1." }),
    max_completion_tokens: z
      .int()
      .min(1)
      .nullish()
      .openapi({
        description: `Most tokens of the reply. Prompt and reply must fit the context. Default: ${DEFAULT_MAX_TOKENS}, or what is left of the context when that is less.`,
      }),
    max_tokens: z.int().min(1).nullish().openapi({
      description: "The older name of `max_completion_tokens`. Both may be given only if they are equal.",
      deprecated: true,
    }),
    stop: z
      .union([z.string().min(1), z.array(z.string().min(1)).max(4)], {
        error: "expected a non-empty string or an array of up to 4 of them",
      })
      .nullish()
      .openapi({ description: "Up to 4 texts before which the reply ends. They are not part of the reply." }),
    n: z
      .int()
      .min(1)
      .max(MAX_CHOICES)
      .nullish()
      .openapi({ description: "How many choices to generate, each with random numbers of its own. Default: 1." }),
    presence_penalty: z
      .number()
      .min(-2)
      .max(2)
      .nullish()
      .openapi({ description: "Taken off the logit of every token that the reply has already. Default: 0." }),
    frequency_penalty: z
      .number()
      .min(-2)
      .max(2)
      .nullish()
      .openapi({ description: "Taken off the logit of a token once for each time that the reply has it. Default: 0." }),
    logit_bias: logitBiasSchema.nullish(),
    logprobs: z
      .boolean()
      .nullish()
      .openapi({ description: "Tells every token with its log-probability. Default: false." }),
    top_logprobs: z
      .int()
      .min(0)
      .max(MAX_LIKELIEST)
      .nullish()
      .openapi({ description: "With `logprobs`: also tells this many of the likeliest tokens. Default: 0." }),
    seed: z.int().nullish().openapi({
      description: "The same request with the same seed gets the same text, under any load. Default: a random one.",
    }),
    stream: z.boolean().nullish().openapi({ description: "Sends the reply as server-sent events. Default: false." }),
    budget: budgetSchema.nullish(),
    stream_options: z
      .object({ include_usage: z.boolean().nullish() })
      .nullish()
      .openapi({ description: "`include_usage` adds a last chunk with the usage. Only with `stream`." }),
  })
  .openapi("ChatCompletionRequest", {
    description: `Unknown fields are ignored. These, which would change the answer, are refused with \`unsupported_parameter\`:\n${unsupportedFields}`,
    example: {
      model: "smollm2-135m",
      messages: [{ role: "user", content: "What is the capital of Italy?" }],
      max_completion_tokens: 64,
      temperature: 0,
    },
  });

/** A valid request. */
export interface ChatRequest {
  readonly ask: Ask;
  readonly includeUsage: boolean;
}

/** @throws ApiError that names the field at fault */
export function parseChatRequest(body: unknown): ChatRequest {
  if (typeof body === "object" && body !== null) refuseUnsupported(body as Record<string, unknown>);
  const request = validate(chatRequestSchema, body);
  const { max_completion_tokens: maxCompletionTokens, max_tokens: olderMaxTokens, stop } = request;
  const { stream_options: options } = request;
  if (olderMaxTokens != null && maxCompletionTokens != null && olderMaxTokens !== maxCompletionTokens) {
    throw new ApiError(
      "invalid_value",
      `'max_tokens' (${olderMaxTokens}) and 'max_completion_tokens' (${maxCompletionTokens}) differ. Give only 'max_completion_tokens'.`,
      { param: "max_tokens" },
    );
  }
  if (options && !request.stream) {
    throw new ApiError("invalid_value", "'stream_options' is only allowed when 'stream' is true.", {
      param: "stream_options",
    });
  }
  if (request.top_logprobs != null && !request.logprobs) {
    throw new ApiError("invalid_value", "'top_logprobs' is only allowed when 'logprobs' is true.", {
      param: "top_logprobs",
    });
  }
  const messages = request.messages.map(
    ({ role, content }): ChatMessage => ({
      role: role === "developer" ? "system" : role,
      content: (typeof content === "string" ? content : content.map((part) => part.text).join("\n")).toWellFormed(),
    }),
  );
  const maxTokens = maxCompletionTokens ?? olderMaxTokens ?? undefined;
  const ask: Ask = {
    model: request.model,
    budget: request.budget ?? undefined,
    stream: request.stream ?? false,
    mayShorten: maxTokens === undefined,
    n: request.n ?? 1,
    stop: (typeof stop === "string" ? [stop] : (stop ?? [])).map((text) => text.toWellFormed()),
    sampling: {
      temperature: request.temperature ?? 1,
      topP: request.top_p ?? 1,
      presencePenalty: request.presence_penalty ?? 0,
      frequencyPenalty: request.frequency_penalty ?? 0,
      logitBias: parseLogitBias(request.logit_bias),
    },
    seed: request.seed ?? undefined,
    logprobs: request.logprobs ? (request.top_logprobs ?? 0) : undefined,
    prompts: async (tokenizer, room) => [
      await fitPrompt(
        {
          name: "messages",
          characters: messages.reduce((total, { content }) => total + content.length, 0),
          encode: (limit) => tokenizer.encodeChat(messages, { limit }),
          maxTokens,
          maxTokensParam:
            maxCompletionTokens == null && olderMaxTokens != null ? "max_tokens" : "max_completion_tokens",
        },
        room,
      ),
    ],
  };
  return { ask, includeUsage: options?.include_usage ?? false };
}
