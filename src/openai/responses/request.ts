// The body of POST /v1/responses: its schema, and what the rest of the gateway needs of it.
import { z } from "@hono/zod-openapi";
import { DEFAULT_MAX_TOKENS, MAX_LIKELIEST } from "../../serving/index.ts";
import { commonFields, SERVICE_TIER } from "../shared/common-fields.ts";
import { ApiError } from "../shared/errors.ts";
import { generationFields, type ParsedRequest, readGeneration } from "../shared/generation-fields.ts";
import { leftOut } from "../shared/unsupported.ts";
import { validate } from "../shared/validate.ts";
import { type Item, inputSchema, toItems } from "./items.ts";
import type { Echo } from "./object.ts";
import { promptOf } from "./prompt.ts";
import { type ResponseFormat, readResponseFormat, textSchema, toolChoiceSchema, toolsSchema } from "./tools.ts";
import {
  ignoredInResponse,
  ignoredResponseFields,
  refuseUnsupportedInResponse,
  unsupportedInResponse,
} from "./unsupported.ts";

const LOGPROBS = "message.output_text.logprobs";
/** Of what can be asked to be told beside the text, the others are about things that no response here has. */
const INCLUDABLE = [
  LOGPROBS,
  "code_interpreter_call.outputs",
  "computer_call_output.output.image_url",
  "file_search_call.results",
  "message.input_image.image_url",
  "reasoning.encrypted_content",
  "web_search_call.action.sources",
  "web_search_call.results",
] as const;
export const includeSchema = z.array(z.enum(INCLUDABLE));

export const responseRequestSchema = z
  .object({
    ...generationFields,
    input: inputSchema,
    instructions: z.string().nullish().openapi({
      description: "A system message before everything else. Not carried over by `previous_response_id`.",
    }),
    previous_response_id: z.string().min(1).nullish().openapi({
      description: "Goes on from a stored response: what it was given, what it said, then `input`.",
    }),
    store: z.boolean().nullish().openapi({
      description:
        "Keeps the response, so that it can be retrieved and gone on from. Default: true where there is a database.",
    }),
    background: z.boolean().nullish().openapi({
      description:
        "Replies at once with a response that is `queued`; `GET /v1/responses/{id}` tells how far it is. Default: false.",
    }),
    max_output_tokens: z
      .int()
      .min(1)
      .nullish()
      .openapi({
        description: `Most tokens of the reply. Default: ${DEFAULT_MAX_TOKENS}, or what is left of the context when that is less.`,
      }),
    top_logprobs: z
      .int()
      .min(0)
      .max(MAX_LIKELIEST)
      .nullish()
      .openapi({
        description: `With \`${LOGPROBS}\` in \`include\`: how many of the likeliest tokens are told at each place. Default: 0.`,
      }),
    include: includeSchema.nullish().openapi({
      description: `\`${LOGPROBS}\` tells every token with its log-probability. The others are about what no response here has.`,
    }),
    text: textSchema.nullish(),
    tools: toolsSchema.nullish(),
    tool_choice: toolChoiceSchema.nullish(),
    parallel_tool_calls: z
      .boolean()
      .nullish()
      .openapi({ description: "Lets one reply have several calls. Default: true." }),
    max_tool_calls: z.int().min(1).nullish().openapi({ description: "Has no effect: it is about built-in tools." }),
    reasoning: z
      .looseObject({})
      .nullish()
      .openapi({ description: "Has no effect: no variant reasons. The reply's header `x-franken-warning` says so." }),
    stream_options: z.looseObject({}).nullish().openapi({
      description: "Has no effect: events are not obfuscated. The reply's header `x-franken-warning` says so.",
    }),
    truncation: z.enum(["auto", "disabled"]).nullish().openapi({
      description: "`auto` drops the oldest items when input and reply do not fit the context. Default: `disabled`.",
    }),
    ...commonFields,
  })
  .openapi("ResponseRequest", {
    description: `Unknown fields are ignored. These, which would change the answer, are refused with \`unsupported_parameter\`:\n${unsupportedInResponse}\n\nLeft out, and named in the reply's header \`x-franken-warning\`: ${ignoredResponseFields}, tools of other types than \`function\`, and items of type \`reasoning\`.`,
    example: {
      model: "smollm2-135m",
      input: "What is the capital of Italy?",
      max_output_tokens: 64,
      temperature: 0,
    },
  });

/** A valid request. */
export interface ResponseRequest {
  /** As the schema lets it through. */
  readonly body: unknown;
  readonly model: string;
  readonly stream: boolean;
  readonly tellsLogprobs: boolean;
  readonly background: boolean;
  /** Undefined when it does not say. */
  readonly store: boolean | undefined;
  readonly previousResponseId: string | undefined;
  /** Its own, without those of the previous response. */
  readonly items: readonly Item[];
  readonly format: ResponseFormat;
  /** What the response repeats of it. @param store whether it is kept */
  echo(store: boolean): Echo;
  /** @param conversation the previous response's items and its own */
  ask(conversation: readonly Item[]): ParsedRequest;
}

/**
 * @param newId makes ids of letters and digits
 * @throws ApiError that names the field at fault
 */
export async function parseResponseRequest(body: unknown, newId: () => string): Promise<ResponseRequest> {
  const fields = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  refuseUnsupportedInResponse(fields);
  const request = validate(responseRequestSchema, body);
  const tellsLogprobs = request.include?.includes(LOGPROBS) ?? false;
  if (request.top_logprobs && !tellsLogprobs) {
    throw new ApiError("invalid_value", `'top_logprobs' is only allowed when 'include' has '${LOGPROBS}'.`, {
      param: "top_logprobs",
    });
  }
  if (request.background && request.stream) {
    throw new ApiError(
      "unsupported_parameter",
      "Unsupported parameter: 'stream' of a background response is not supported by this gateway. Leave one of them out; GET /v1/responses/{id} tells how far a background response is.",
      { param: "stream" },
    );
  }
  if (request.background && tellsLogprobs) {
    throw new ApiError(
      "unsupported_parameter",
      `Unsupported parameter: '${LOGPROBS}' in 'include' of a background response is not supported by this gateway: log-probabilities are not stored. Leave it out.`,
      { param: "include" },
    );
  }
  const format = await readResponseFormat(request);
  const items = toItems(request.input, newId);
  if (items.length === 0) {
    throw new ApiError("invalid_value", "Invalid value for 'input': it has nothing but items of type 'reasoning'.", {
      param: "input",
    });
  }
  const reasoning =
    request.input.length > items.length && typeof request.input !== "string" ? ["items of type reasoning"] : [];
  const maxTokens = request.max_output_tokens ?? undefined;
  const temperature = request.temperature ?? 1;
  const topP = request.top_p ?? 1;
  const instructions = request.instructions?.toWellFormed();
  const truncation = request.truncation ?? "disabled";
  return {
    body: request,
    tellsLogprobs,
    model: request.model,
    stream: request.stream ?? false,
    background: request.background ?? false,
    store: request.store ?? undefined,
    previousResponseId: request.previous_response_id ?? undefined,
    items,
    format,
    echo: (store) => ({
      background: request.background ?? false,
      instructions: instructions ?? null,
      max_output_tokens: maxTokens ?? null,
      max_tool_calls: request.max_tool_calls ?? null,
      metadata: request.metadata ?? {},
      parallel_tool_calls: request.parallel_tool_calls ?? true,
      previous_response_id: request.previous_response_id ?? null,
      prompt_cache_key: request.prompt_cache_key ?? null,
      reasoning: { effort: null, summary: null },
      safety_identifier: request.safety_identifier ?? null,
      service_tier: SERVICE_TIER,
      store,
      temperature,
      text: { format: format.text, verbosity: "medium" },
      tool_choice: format.toolChoice,
      tools: [...format.tools],
      top_logprobs: request.top_logprobs ?? 0,
      top_p: topP,
      truncation,
      user: request.user ?? null,
    }),
    ask: (conversation) => ({
      ...readGeneration(request),
      warnings: [...leftOut([...ignoredInResponse(fields), ...format.leftOut, ...reasoning]), ...format.warnings],
      mayShorten: maxTokens === undefined,
      n: 1,
      stop: [],
      logprobs: tellsLogprobs ? (request.top_logprobs ?? 0) : undefined,
      grammar: format.grammar,
      grammarField: format.grammarField,
      prompt: promptOf({ conversation, instructions, format, maxTokens, truncation }),
    }),
  };
}
