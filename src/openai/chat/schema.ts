// The shapes of replies to chat completions: the whole one, and the chunks of a streamed one.
import { z } from "@hono/zod-openapi";
import { SERVICE_TIER } from "../shared/common-fields.ts";
import { logprobsSchema } from "../shared/logprobs.ts";
import { frankenSchema, replyHead } from "../shared/reply-head.ts";
import { usageSchema } from "../shared/usage.ts";

const head = { id: z.string().openapi({ example: "chatcmpl-0f2a6c1e9b7d4853" }), ...replyHead };
const finishReasonSchema = z.enum(["stop", "length", "tool_calls", "function_call"]);
const serviceTierSchema = z.literal(SERVICE_TIER).optional().openapi({ description: "Where the request has it." });
const callSchema = z.object({
  id: z.string().openapi({ example: "call_0f2a6c1e9b7d48530f2a6c1e9b7d4853" }),
  type: z.literal("function"),
  function: z.object({
    name: z.string(),
    arguments: z.string().openapi({ description: "JSON; the beginning of it where the reply ends with `length`." }),
  }),
});
const callDeltaSchema = z
  .object({
    index: z.int(),
    id: z.string().optional(),
    type: z.literal("function").optional(),
    function: z.object({ name: z.string().optional(), arguments: z.string() }),
  })
  .openapi({
    description: "The first of each `index` has id, type, name and empty arguments; the others pieces of them.",
  });

export const chatCompletionSchema = z
  .object({
    ...head,
    object: z.literal("chat.completion"),
    choices: z.array(
      z.object({
        index: z.int(),
        message: z.object({
          role: z.literal("assistant"),
          content: z.string().nullable().openapi({ description: "Null in a reply of calls." }),
          refusal: z.null(),
          tool_calls: z.array(callSchema).optional(),
          function_call: callSchema.shape.function.optional(),
        }),
        logprobs: logprobsSchema.nullable(),
        finish_reason: finishReasonSchema,
      }),
    ),
    usage: usageSchema,
    service_tier: serviceTierSchema,
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
          delta: z.object({
            role: z.literal("assistant").optional(),
            content: z.string().nullish(),
            tool_calls: z.array(callDeltaSchema).optional(),
            function_call: z.object({ name: z.string().optional(), arguments: z.string() }).optional(),
          }),
          logprobs: logprobsSchema.nullable(),
          finish_reason: finishReasonSchema.nullable(),
        }),
      )
      .openapi({ description: "Empty in the chunk that carries the usage." }),
    usage: usageSchema.nullish().openapi({ description: "With `include_usage`: null in all chunks but the last." }),
    service_tier: serviceTierSchema,
    franken: frankenSchema,
  })
  .openapi("ChatCompletionChunk");
export type ChatChunk = z.infer<typeof chatChunkSchema>;
