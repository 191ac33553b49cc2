// The items that a response is made of and from: as clients send them, as they are kept and told, and as what the model reads.

import { z } from "@hono/zod-openapi";
import { ApiError } from "../shared/errors.ts";
import { logprobsSchema } from "../shared/logprobs.ts";
import { quote } from "../shared/quote.ts";
import { otherType } from "../shared/validate.ts";

const inputTextSchema = z.object({ type: z.literal("input_text"), text: z.string() });
const refusalSchema = z.object({ type: z.literal("refusal"), refusal: z.string() });
const outputTextSchema = z.object({
  type: z.literal("output_text"),
  text: z.string(),
  annotations: z.array(z.unknown()).max(0),
  logprobs: logprobsSchema.shape.content.openapi({ description: "Empty unless `include` asks for them." }),
});

const partsSchema = z.array(
  z.discriminatedUnion(
    "type",
    [inputTextSchema, z.object({ type: z.literal("output_text"), text: z.string() }), refusalSchema],
    { error: otherType("parts", ["input_text", "output_text", "refusal"]) },
  ),
);
const textOrParts = z.union([z.string(), partsSchema.min(1)], {
  error: "expected a string or a non-empty array of parts of type 'input_text'",
});
/** A tool may have nothing to say. */
const resultSchema = z.union([z.string(), partsSchema], {
  error: "expected a string or an array of parts of type 'input_text'",
});

const id = z.string().max(128);
const itemStatusSchema = z.enum(["in_progress", "completed", "incomplete"]);
const callFields = {
  call_id: z.string().min(1).max(128),
  name: z.string().min(1).max(64),
  arguments: z.string().openapi({ description: "JSON." }),
};

/** What a client may send; ids and statuses of items that it got from here have no effect. */
const inputItemSchema = z.discriminatedUnion(
  "type",
  [
    z.object({
      type: z.literal("message").optional(),
      role: z.enum(["user", "assistant", "system", "developer"]),
      content: textOrParts,
    }),
    z.object({ type: z.literal("function_call"), ...callFields }),
    z.object({
      type: z.literal("function_call_output"),
      call_id: callFields.call_id,
      output: resultSchema,
    }),
    z.looseObject({ type: z.literal("reasoning") }).openapi({ description: "Left out: no variant reasons." }),
  ],
  { error: otherType("items", ["message", "function_call", "function_call_output", "reasoning"]) },
);

export const inputSchema = z
  .union([z.string().min(1), z.array(inputItemSchema).min(1)], {
    error: "expected a non-empty string or a non-empty array of items",
  })
  .openapi({
    description:
      "A user's message, or items: messages, function calls and their outputs; items of type `reasoning` are left out. `developer` is rendered as `system`; parts are joined by line breaks.",
  });

const messageItemSchema = z.object({
  type: z.literal("message"),
  id,
  role: z.enum(["user", "assistant", "system", "developer"]),
  status: itemStatusSchema,
  content: z.array(z.discriminatedUnion("type", [inputTextSchema, outputTextSchema, refusalSchema])),
});
const functionCallSchema = z.object({
  type: z.literal("function_call"),
  id,
  ...callFields,
  status: itemStatusSchema,
});
const functionOutputSchema = z.object({
  type: z.literal("function_call_output"),
  id,
  call_id: callFields.call_id,
  output: z.string(),
  status: itemStatusSchema,
});

export const itemSchema = z
  .discriminatedUnion("type", [messageItemSchema, functionCallSchema, functionOutputSchema])
  .openapi("ResponseItem");
export const outputItemSchema = z
  .discriminatedUnion("type", [messageItemSchema.extend({ role: z.literal("assistant") }), functionCallSchema])
  .openapi("ResponseOutputItem");
/** An item of a conversation, as it is kept. */
export type Item = z.infer<typeof itemSchema>;
export type OutputItem = z.infer<typeof outputItemSchema>;
export type MessageItem = Extract<OutputItem, { type: "message" }>;
export type FunctionCallItem = z.infer<typeof functionCallSchema>;
export type OutputText = z.infer<typeof outputTextSchema>;

type TextOrParts = z.infer<typeof textOrParts>;

const partText = (part: Exclude<TextOrParts, string>[number]): string =>
  (part.type === "refusal" ? part.refusal : part.text).toWellFormed();

/** Gives what a client sent the form in which it is kept. @param newId of letters and digits */
export function toItems(input: z.infer<typeof inputSchema>, newId: () => string): Item[] {
  if (typeof input === "string") return toItems([{ role: "user", content: input }], newId);
  return input.flatMap((item): Item | [] => {
    const status = "completed";
    if (item.type === "reasoning") return [];
    if (item.type === "function_call")
      return {
        type: "function_call",
        id: `fc_${newId()}`,
        call_id: item.call_id,
        name: item.name,
        arguments: item.arguments.toWellFormed(),
        status,
      };
    if (item.type === "function_call_output") {
      const output = typeof item.output === "string" ? item.output : item.output.map(partText).join("\n");
      return {
        type: "function_call_output",
        id: `fco_${newId()}`,
        call_id: item.call_id,
        output: output.toWellFormed(),
        status,
      };
    }
    const parts: Exclude<TextOrParts, string> =
      typeof item.content === "string" ? [{ type: "input_text", text: item.content }] : item.content;
    return {
      type: "message",
      id: `msg_${newId()}`,
      role: item.role,
      status,
      content: parts.map((part) => {
        const text = partText(part);
        if (part.type === "refusal") return { type: "refusal", refusal: text };
        if (item.role !== "assistant") return { type: "input_text", text };
        return { type: "output_text", text, annotations: [], logprobs: [] };
      }),
    };
  });
}

/** @throws ApiError for a call without an output, or an output without its call */
export function checkCalls(items: readonly Item[]): void {
  const open = new Set<string>();
  for (const item of items) {
    if (item.type === "function_call") open.add(item.call_id);
    if (item.type === "function_call_output" && !open.delete(item.call_id)) {
      throw new ApiError(
        "invalid_value",
        `No tool call found for function call output with call_id ${quote(item.call_id)}. Send its 'function_call' item before it, or the 'previous_response_id' that has it.`,
        { param: "input" },
      );
    }
  }
  const [left] = open;
  if (left !== undefined) {
    throw new ApiError(
      "invalid_value",
      `No tool output found for function call ${quote(left)}. Send a 'function_call_output' item with its 'call_id'.`,
      { param: "input" },
    );
  }
}
