// The response object of the Responses API, and the events that tell of one as it grows.
import { z } from "@hono/zod-openapi";
import type { TokenCounts } from "../../serving/index.ts";
import { cacheWriteSchema } from "../shared/usage.ts";
import { outputItemSchema } from "./items.ts";

export const responseStatusSchema = z.enum(["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]);

export const responseUsageSchema = z
  .object({
    input_tokens: z.int(),
    input_tokens_details: z.object({
      cached_tokens: z.int().openapi({ description: "Tokens of the prompt that an earlier request had computed." }),
      cache_write_tokens: cacheWriteSchema,
    }),
    output_tokens: z.int().openapi({ description: "The end token is not among them." }),
    output_tokens_details: z.object({ reasoning_tokens: z.literal(0) }),
    total_tokens: z.int(),
  })
  .openapi("ResponseUsage");

/** What a response repeats of its request. */
const echoShape = {
  background: z.boolean(),
  instructions: z.string().nullable(),
  max_output_tokens: z.int().nullable(),
  max_tool_calls: z.int().nullable(),
  metadata: z.record(z.string(), z.string()),
  parallel_tool_calls: z.boolean(),
  previous_response_id: z.string().nullable(),
  prompt_cache_key: z.string().nullable(),
  reasoning: z.object({ effort: z.null(), summary: z.null() }),
  safety_identifier: z.string().nullable(),
  service_tier: z.literal("default"),
  store: z.boolean().openapi({ description: "Whether it can be retrieved, or went on from, by its id." }),
  temperature: z.number(),
  text: z.object({ format: z.record(z.string(), z.unknown()), verbosity: z.literal("medium") }),
  tool_choice: z.union([z.string(), z.record(z.string(), z.unknown())]),
  tools: z.array(z.record(z.string(), z.unknown())),
  top_logprobs: z.int(),
  top_p: z.number(),
  truncation: z.enum(["auto", "disabled"]),
  user: z.string().nullable(),
};
export type Echo = z.infer<z.ZodObject<typeof echoShape>>;

export const responseSchema = z
  .object({
    id: z.string().openapi({ example: "resp_0f2a6c1e9b7d4853" }),
    object: z.literal("response"),
    created_at: z.int().openapi({ description: "Unix seconds." }),
    completed_at: z.int().nullable(),
    status: responseStatusSchema,
    model: z.string().openapi({ example: "smollm2-135m", description: "The variant that answers." }),
    output: z.array(outputItemSchema),
    error: z
      .object({ code: z.enum(["server_error", "rate_limit_exceeded", "invalid_prompt"]), message: z.string() })
      .nullable(),
    incomplete_details: z.object({ reason: z.literal("max_output_tokens") }).nullable(),
    usage: responseUsageSchema.nullable(),
    ...echoShape,
    franken: z
      .object({ downshifts: z.array(z.object({ variant: z.string(), from_token: z.int() })) })
      .optional()
      .openapi({ description: "Only where a budget with `downshift` made it go on with a lighter variant." }),
  })
  .openapi("Response");
export type ResponseObject = z.infer<typeof responseSchema>;

export const isResponseObject = (value: unknown): value is ResponseObject =>
  typeof value === "object" && value !== null && "object" in value && value.object === "response";

export interface NewResponse {
  readonly id: string;
  /** Unix seconds. */
  readonly createdAt: number;
  readonly model: string;
  readonly status: "queued" | "in_progress";
}

/** A response of which nothing is there yet. */
export const newResponse = ({ id, createdAt, model, status }: NewResponse, echo: Echo): ResponseObject => ({
  id,
  object: "response",
  created_at: createdAt,
  completed_at: null,
  status,
  model,
  output: [],
  error: null,
  incomplete_details: null,
  usage: null,
  ...echo,
});

export const responseUsage = (counts: TokenCounts): z.infer<typeof responseUsageSchema> => ({
  input_tokens: counts.promptTokens,
  input_tokens_details: { cached_tokens: counts.cachedTokens, cache_write_tokens: 0 },
  output_tokens: counts.completionTokens,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: counts.promptTokens + counts.completionTokens,
});

/** The events of a stream, which OpenAI's documentation lists by their `type`. */
export const responseEventSchema = z
  .object({
    type: z.string().openapi({ example: "response.output_text.delta" }),
    sequence_number: z.int().openapi({ description: "Counts the events of a stream from 0." }),
  })
  .loose()
  .openapi("ResponseEvent");
