// The messages of a chat completion request: their schemas, and what the model reads of them.

import { z } from "@hono/zod-openapi";
import { type ChatMessage, callsText, resultText } from "../../tokenizer/index.ts";
import { ApiError } from "../shared/errors.ts";
import { quote } from "../shared/quote.ts";

const ROLES = ["system", "developer", "user", "assistant", "tool", "function"] as const;
const WANTED = "expected a string or a non-empty array of parts of type 'text'";

const textPartSchema = z.object({
  type: z.literal("text", {
    error: ({ input }) =>
      input === undefined ? undefined : `parts of type ${quote(input)} are not supported, only 'text'`,
  }),
  text: z.string(),
});
const refusalPartSchema = z.object({ type: z.literal("refusal"), refusal: z.string() });

const contentSchema = z
  .union([z.string(), z.array(textPartSchema).min(1)], { error: WANTED })
  .openapi("ChatContent", { description: "Parts are joined by line breaks." });
const assistantContentSchema = z.union(
  [
    z.string(),
    z
      .array(
        z.discriminatedUnion("type", [textPartSchema, refusalPartSchema], {
          error: (issue) =>
            issue.code === "invalid_union" ? "only parts of type 'text' and 'refusal' are supported" : undefined,
        }),
      )
      .min(1),
  ],
  { error: WANTED },
);
/** A tool may have nothing to say. */
const resultSchema = z.union([z.string(), z.array(textPartSchema)], {
  error: "expected a string or an array of parts of type 'text'",
});
const nameSchema = z.string().nullish().openapi({ description: "Has no effect." });
const calledSchema = z.object({
  name: z.string().min(1),
  arguments: z.string().openapi({ description: "JSON, as the model wrote it." }),
});

const turn = <Role extends (typeof ROLES)[number]>(role: Role) =>
  z.object({ role: z.literal(role), content: contentSchema, name: nameSchema });
const assistantSchema = z.object({
  role: z.literal("assistant"),
  content: assistantContentSchema
    .nullish()
    .openapi({ description: "May be left out beside `tool_calls`, `function_call` or `refusal`." }),
  refusal: z.string().nullish(),
  name: nameSchema,
  tool_calls: z
    .array(
      z.object({
        id: z.string().min(1),
        type: z.literal("function", {
          error: ({ input }) =>
            input === undefined ? undefined : `calls of type ${quote(input)} are not supported, only 'function'`,
        }),
        function: calledSchema,
      }),
    )
    .nullish()
    .openapi({ description: "A message of role `tool` for each of them has to follow." }),
  function_call: calledSchema.nullish().openapi({ deprecated: true }),
});

export const messageSchema = z
  .discriminatedUnion(
    "role",
    [
      turn("system"),
      turn("developer").openapi({ description: "Rendered as `system`." }),
      turn("user"),
      assistantSchema,
      z.object({ role: z.literal("tool"), content: resultSchema, tool_call_id: z.string().min(1) }),
      z
        .object({ role: z.literal("function"), content: contentSchema.nullable(), name: z.string().min(1) })
        .openapi({ deprecated: true }),
    ],
    {
      error: (issue) => {
        if (issue.code !== "invalid_union") return undefined;
        const { role } = issue.input as { readonly role?: unknown };
        return `${quote(role)} is not one of the supported roles ${ROLES.map(quote).join(", ")}`;
      },
    },
  )
  .openapi("ChatMessage", {
    description: "What a message spells of a special token, such as `<|im_end|>`, stays text.",
  });
type WireMessage = z.infer<typeof messageSchema>;

type Content = z.infer<typeof assistantContentSchema> | null | undefined;
const textOf = (content: Content): string => {
  if (typeof content === "string") return content;
  return (content ?? []).map((part) => (part.type === "text" ? part.text : part.refusal)).join("\n");
};

/** @throws ApiError naming a message that has nothing in it, or a result and a call that do not belong together */
export function readMessages(messages: readonly WireMessage[]): ChatMessage[] {
  /** Names of the tools called last whose results are missing, by the calls' ids. */
  let due = new Map<string, string>();
  const read = (message: WireMessage, index: number): ChatMessage => {
    const fail = (field: string, problem: string): never => {
      const param = `messages.${index}.${field}`;
      throw new ApiError("invalid_value", `Invalid value for '${param}': ${problem}.`, { param });
    };
    if (message.role === "tool") {
      const name = due.get(message.tool_call_id);
      if (name === undefined) {
        const which = quote(message.tool_call_id);
        return fail("tool_call_id", `${which} is no call of the assistant's message before that waits for a result`);
      }
      due.delete(message.tool_call_id);
      return { role: "tool", content: resultText(name, textOf(message.content)) };
    }
    const [missing] = due.keys();
    if (missing !== undefined) {
      return fail("role", `before it, a message of role 'tool' has to answer the call ${quote(missing)}`);
    }
    if (message.role === "function") {
      return { role: "tool", content: resultText(message.name, textOf(message.content)) };
    }
    if (message.role !== "assistant") {
      return { role: message.role === "user" ? "user" : "system", content: textOf(message.content) };
    }
    const { content, refusal, tool_calls: toolCalls, function_call: functionCall } = message;
    const called = toolCalls ?? [];
    if (content == null && refusal == null && called.length === 0 && !functionCall) {
      throw new ApiError(
        "missing_required_parameter",
        `Missing required parameter: 'messages.${index}.content'. It may be left out only beside 'tool_calls' or 'function_call'.`,
        { param: `messages.${index}.content` },
      );
    }
    due = new Map(called.map((call) => [call.id, call.function.name]));
    const calls = [...called.map((call) => call.function), ...(functionCall ? [functionCall] : [])];
    const text = content == null ? (refusal ?? "") : textOf(content);
    return { role: "assistant", content: calls.length > 0 ? callsText(text, calls) : text };
  };
  const all = messages.map(read);
  const [missing] = due.keys();
  if (missing !== undefined) {
    throw new ApiError(
      "invalid_value",
      `Invalid value for 'messages': the call ${quote(missing)} has no result; a message of role 'tool' has to follow with it.`,
      { param: "messages" },
    );
  }
  return all.map(({ role, content }) => ({ role, content: content.toWellFormed() }));
}
