// The body of POST /v1/chat/completions: its schema, and what the rest of the gateway needs of it.
import { z } from "@hono/zod-openapi";
import type { ChatMessage } from "../tokenizer/index.ts";
import { budgetSchema, type WireBudget } from "./budget.ts";
import { ApiError } from "./errors.ts";
import { refuseUnsupported, unsupportedFields } from "./unsupported.ts";
import { validate } from "./validate.ts";

/** Tokens of a reply at most when the request does not say. */
export const DEFAULT_MAX_TOKENS = 512;

/** The model that stands for the best variant within the budget. */
export const AUTO = "auto";

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

/** A valid request with its defaults filled in. */
export interface ChatRequest {
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly temperature: number;
  readonly topP: number;
  /** Undefined when the request does not say. */
  readonly maxTokens: number | undefined;
  /** The body's field, without what headers and the key say. */
  readonly budget: WireBudget | undefined;
  /** The name under which the request gave `maxTokens`. */
  readonly maxTokensParam: "max_completion_tokens" | "max_tokens";
  readonly stop: readonly string[];
  /** Undefined when any will do. */
  readonly seed: number | undefined;
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

/** @throws ApiError that names the field at fault */
export function parseChatRequest(body: unknown): ChatRequest {
  if (typeof body === "object" && body !== null) refuseUnsupported(body as Record<string, unknown>);
  const request = validate(chatRequestSchema, body);
  const { max_completion_tokens: maxCompletionTokens, max_tokens: maxTokens, stop, stream_options: options } = request;
  if (maxTokens != null && maxCompletionTokens != null && maxTokens !== maxCompletionTokens) {
    throw new ApiError(
      "invalid_value",
      `'max_tokens' (${maxTokens}) and 'max_completion_tokens' (${maxCompletionTokens}) differ. Give only 'max_completion_tokens'.`,
      { param: "max_tokens" },
    );
  }
  if (options && !request.stream) {
    throw new ApiError("invalid_value", "'stream_options' is only allowed when 'stream' is true.", {
      param: "stream_options",
    });
  }
  return {
    model: request.model,
    budget: request.budget ?? undefined,
    messages: request.messages.map(({ role, content }) => ({
      role: role === "developer" ? "system" : role,
      content: (typeof content === "string" ? content : content.map((part) => part.text).join("\n")).toWellFormed(),
    })),
    temperature: request.temperature ?? 1,
    topP: request.top_p ?? 1,
    maxTokens: maxCompletionTokens ?? maxTokens ?? undefined,
    maxTokensParam: maxCompletionTokens == null && maxTokens != null ? "max_tokens" : "max_completion_tokens",
    stop: (typeof stop === "string" ? [stop] : (stop ?? [])).map((text) => text.toWellFormed()),
    seed: request.seed ?? undefined,
    stream: request.stream ?? false,
    includeUsage: options?.include_usage ?? false,
  };
}
