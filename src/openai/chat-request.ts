// The body of POST /v1/chat/completions: its schema, and what the rest of the gateway needs of it.
import { z } from "@hono/zod-openapi";
import { MAX_LIKELIEST } from "../engine/types.ts";
import { TOOL_CALLS } from "../grammar/index.ts";
import { withInstructions } from "../tokenizer/index.ts";
import type { Ask } from "./ask.ts";
import { budgetSchema } from "./budget.ts";
import { messageSchema, readMessages } from "./chat-messages.ts";
import { type ChatFormat, readChatFormat, replyFields } from "./chat-tools.ts";
import { commonFields, SERVICE_TIER } from "./common-fields.ts";
import { ApiError } from "./errors.ts";
import { logitBiasSchema, parseLogitBias } from "./logit-bias.ts";
import { DEFAULT_MAX_TOKENS, fitPrompt } from "./prompt.ts";
import { refuseUnsupported, unsupportedFields } from "./unsupported.ts";
import { validate } from "./validate.ts";

/** Choices of one request. */
const MAX_CHOICES = 16;

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
      .openapi({
        description:
          "Up to 4 texts before which the reply ends. They are not part of the reply. They do not cut calls of tools.",
      }),
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
      .object({ include_usage: z.boolean().nullish(), include_obfuscation: z.boolean().nullish() })
      .nullish()
      .openapi({
        description:
          "Only with `stream`. `include_usage` adds a last chunk with the usage; `include_obfuscation` has no effect.",
      }),
    ...replyFields,
    prediction: z
      .object({
        type: z.literal("content"),
        content: z.union([z.string(), z.array(z.object({ type: z.literal("text"), text: z.string() })).min(1)]),
      })
      .nullish()
      .openapi({ description: "What the reply is likely to be. Has no effect." }),
    ...commonFields,
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
  readonly format: ChatFormat;
  /** Told in the reply where the request has it. */
  readonly serviceTier: typeof SERVICE_TIER | undefined;
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
  const format = readChatFormat(request);
  const messages = withInstructions(readMessages(request.messages), format.instructions);
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
    unstopped: format.mayCall ? TOOL_CALLS.open : undefined,
    grammar: format.grammar,
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
  return {
    ask,
    includeUsage: options?.include_usage ?? false,
    format,
    serviceTier: request.service_tier == null ? undefined : SERVICE_TIER,
  };
}
