// The body of POST /v1/chat/completions: its schema, and what the rest of the gateway needs of it.
import { z } from "@hono/zod-openapi";
import { TOOL_CALLS } from "../../grammar/index.ts";
import { DEFAULT_MAX_TOKENS, MAX_LIKELIEST } from "../../serving/index.ts";
import { withInstructions } from "../../tokenizer/index.ts";
import { commonFields, SERVICE_TIER } from "../shared/common-fields.ts";
import { ApiError } from "../shared/errors.ts";
import {
  completionFields,
  generationFields,
  type ParsedRequest,
  readGeneration,
  readIncludeUsage,
  readStop,
  stopSchema,
} from "../shared/generation-fields.ts";
import { joinSystem } from "../shared/system-message.ts";
import { leftOut } from "../shared/unsupported.ts";
import { validate } from "../shared/validate.ts";
import { messageSchema, readMessages } from "./messages.ts";
import { type ChatFormat, readChatFormat, replyFields } from "./tools.ts";
import { ignoredFields, ignoredInChat, refuseUnsupported, unsupportedFields } from "./unsupported.ts";

export const chatRequestSchema = z
  .object({
    ...generationFields,
    ...completionFields,
    messages: z.array(messageSchema).min(1, "expected at least one message"),
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
    stop: stopSchema(4).nullish().openapi({
      description:
        "Up to 4 texts before which the reply ends. They are not part of the reply. They do not cut calls of tools.",
    }),
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
    description: `Unknown fields are ignored. These, which would change the answer, are refused with \`unsupported_parameter\`:\n${unsupportedFields}\n\nLeft out, and named in the reply's header \`x-franken-warning\`: ${ignoredInChat}, and tools of other types than \`function\`.`,
    example: {
      model: "smollm2-135m",
      messages: [{ role: "user", content: "What is the capital of Italy?" }],
      max_completion_tokens: 64,
      temperature: 0,
    },
  });

/** A valid request. */
export interface ChatRequest {
  readonly ask: ParsedRequest;
  readonly includeUsage: boolean;
  readonly format: ChatFormat;
  /** Told in the reply where the request has it. */
  readonly serviceTier: typeof SERVICE_TIER | undefined;
}

/** @throws ApiError that names the field at fault */
export async function parseChatRequest(body: unknown): Promise<ChatRequest> {
  const fields = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  refuseUnsupported(fields);
  const request = validate(chatRequestSchema, body);
  const { max_completion_tokens: maxCompletionTokens, max_tokens: olderMaxTokens } = request;
  const includeUsage = readIncludeUsage(request);
  if (olderMaxTokens != null && maxCompletionTokens != null && olderMaxTokens !== maxCompletionTokens) {
    throw new ApiError(
      "invalid_value",
      `'max_tokens' (${olderMaxTokens}) and 'max_completion_tokens' (${maxCompletionTokens}) differ. Give only 'max_completion_tokens'.`,
      { param: "max_tokens" },
    );
  }
  if (request.top_logprobs != null && !request.logprobs) {
    throw new ApiError("invalid_value", "'top_logprobs' is only allowed when 'logprobs' is true.", {
      param: "top_logprobs",
    });
  }
  const format = await readChatFormat(request);
  const messages = withInstructions(joinSystem(readMessages(request.messages)), format.instructions);
  const maxTokens = maxCompletionTokens ?? olderMaxTokens ?? undefined;
  const ask: ParsedRequest = {
    ...readGeneration(request),
    warnings: [...leftOut([...ignoredFields(fields), ...format.leftOut]), ...format.warnings],
    mayShorten: maxTokens === undefined,
    n: request.n ?? 1,
    stop: readStop(request.stop),
    unstopped: format.mayCall ? TOOL_CALLS.open : undefined,
    grammar: format.grammar,
    grammarField: format.grammarField,
    logprobs: request.logprobs ? (request.top_logprobs ?? 0) : undefined,
    prompt: {
      kind: "chat",
      name: "messages",
      messages,
      maxTokens,
      maxTokensParam: maxCompletionTokens == null && olderMaxTokens != null ? "max_tokens" : "max_completion_tokens",
    },
  };
  return {
    ask,
    includeUsage,
    format,
    serviceTier: request.service_tier == null ? undefined : SERVICE_TIER,
  };
}
