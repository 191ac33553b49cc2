// The fields of a chat completion request that say what the reply may be, as OpenAI documents them: response_format, tools and the choice
// among them, and the older functions.

import { z } from "@hono/zod-openapi";
import { MAX_CALLS } from "../../grammar/index.ts";
import { ApiError } from "../shared/errors.ts";
import { otherToolSchema, otherToolsLeftOut } from "../shared/other-tools.ts";
import { quote } from "../shared/quote.ts";
import { createReplyFormat, type ReplyFormat, type TextFormat, type ToolChoice } from "../shared/reply-format.ts";
import {
  functionNameSchema,
  jsonSchemaSchema,
  MAX_TOOLS,
  refuseSameNames,
  toFunctionTool,
  toSchemaFormat,
} from "../shared/tools.ts";

const functionSchema = z.object({
  name: functionNameSchema,
  description: z.string().nullish(),
  parameters: jsonSchemaSchema
    .nullish()
    .openapi({ description: "JSON schema of the arguments. Default: there are none." }),
});

/** What a `type` may be, said to who gives another. */
const onlyFunction = z.literal("function", {
  error: ({ input }) =>
    input === undefined ? undefined : `tools of type ${quote(input)} are not supported, only 'function'`,
});

const toolSchema = z
  .object({
    type: onlyFunction,
    function: functionSchema.extend({
      strict: z.boolean().nullish().openapi({
        description:
          "With true the arguments fit the schema, and what cannot be enforced is refused. Else they fit it too, but for keywords that cannot be enforced: those are left out, and the header `x-franken-warning` names them. Default: false.",
      }),
    }),
  })
  .openapi("ChatTool");

const namedSchema = z.object({ type: onlyFunction, function: z.object({ name: z.string() }) });
const typeError = (issue: { readonly code: string }): string | undefined =>
  issue.code === "invalid_union" ? "expected 'function' or 'allowed_tools'" : undefined;

const toolChoiceSchema = z
  .union([
    z.discriminatedUnion(
      "type",
      [
        z.object({ type: z.literal("function"), function: z.object({ name: z.string() }) }),
        z.object({
          type: z.literal("allowed_tools"),
          allowed_tools: z.object({
            mode: z.enum(["auto", "required"]),
            tools: z.array(namedSchema).min(1).max(MAX_TOOLS),
          }),
        }),
      ],
      { error: typeError },
    ),
    z.enum(["none", "auto", "required"]),
  ])
  .openapi({
    description:
      "`auto`: text or calls. `required`: calls. A function's name: one call of it; the reply then ends with `stop`. Default: `auto`.",
  });

const responseFormatSchema = z
  .discriminatedUnion(
    "type",
    [
      z.object({ type: z.literal("text") }),
      z.object({ type: z.literal("json_object") }),
      z.object({
        type: z.literal("json_schema"),
        json_schema: z.object({
          name: functionNameSchema,
          description: z.string().nullish(),
          schema: jsonSchemaSchema.nullish(),
          strict: z.boolean().nullish(),
        }),
      }),
    ],
    {
      error: (issue) =>
        issue.code === "invalid_union" ? "expected 'text', 'json_object' or 'json_schema'" : undefined,
    },
  )
  .openapi({
    description:
      "What text has to be. A `json_schema` is enforced whether it is strict or not; `strict` adds OpenAI's rules for it. A keyword that cannot be enforced is refused with its path; where a `format` stands in for a pattern with look-behind, the header `x-franken-warning` says so.",
  });

export const replyFields = {
  response_format: responseFormatSchema.nullish(),
  tools: z
    .array(z.union([toolSchema, otherToolSchema], { error: "expected a tool, which is an object with a 'type'" }))
    .max(MAX_TOOLS)
    .nullish(),
  tool_choice: toolChoiceSchema.nullish(),
  parallel_tool_calls: z
    .boolean()
    .nullish()
    .openapi({ description: `Whether one reply may have several calls, at most ${MAX_CALLS}. Default: true.` }),
  functions: z
    .array(functionSchema)
    .max(MAX_TOOLS)
    .nullish()
    .openapi({ description: "The older form of `tools`: one call at most.", deprecated: true }),
  function_call: z
    .union([z.object({ name: z.string() }), z.enum(["none", "auto"])])
    .nullish()
    .openapi({ description: "The older form of `tool_choice`.", deprecated: true }),
};
type ReplyFields = z.infer<z.ZodObject<typeof replyFields>>;

export interface ChatFormat extends ReplyFormat {
  /** How calls are told: as `tool_calls`, or as the one `function_call` of the older form. */
  readonly callsAs: "tool_calls" | "function_call";
  /** Why a reply of calls ends: with a named choice for no other reason than any. */
  readonly finishReason: "tool_calls" | "function_call" | "stop";
  /** What of the request was left out. */
  readonly leftOut: readonly string[];
}

/** @throws ApiError that names the field at fault */
export async function readChatFormat(fields: ReplyFields): Promise<ChatFormat> {
  const { functions, function_call: functionCall, tools, tool_choice: toolChoice } = fields;
  const isOlder = (functions ?? []).length > 0 || functionCall != null;
  if (isOlder && ((tools ?? []).length > 0 || toolChoice != null)) {
    throw new ApiError(
      "invalid_value",
      "'functions' and 'function_call' cannot be used beside 'tools' and 'tool_choice'.",
      {
        param: functions ? "functions" : "function_call",
      },
    );
  }
  const field = isOlder ? "functions" : "tools";
  const { given, places, others } = splitTools(tools ?? []);
  const pathOf = (index: number): string => (isOlder ? `functions.${index}` : `tools.${places[index]}.function`);
  const list = (isOlder ? (functions ?? []) : given).map(toFunctionTool);
  refuseSameNames(list, (index) => `${pathOf(index)}.name`);
  const { choice, allowed } = isOlder ? { choice: functionCall ?? "auto" } : readToolChoice(toolChoice);
  return {
    ...(await createReplyFormat({
      text: readTextFormat(fields.response_format),
      tools: list,
      choice,
      allowed,
      parallel: !isOlder && (fields.parallel_tool_calls ?? true),
      params: {
        schema: "response_format.json_schema.schema",
        parameters: (index) => `${pathOf(index)}.parameters`,
        format: "response_format",
        tools: field,
        choice: isOlder ? "function_call" : "tool_choice",
      },
    })),
    callsAs: isOlder ? "function_call" : "tool_calls",
    finishReason: typeof choice === "object" ? "stop" : isOlder ? "function_call" : "tool_calls",
    leftOut: otherToolsLeftOut(others),
  };
}

type WireFunction = z.infer<(typeof toolSchema)["shape"]["function"]>;

/** The functions among the tools, each with its place in the request, and the types of the others. */
function splitTools(tools: NonNullable<ReplyFields["tools"]>) {
  const given: WireFunction[] = [];
  const places: number[] = [];
  const others: string[] = [];
  for (const [place, tool] of tools.entries()) {
    if (isFunction(tool)) {
      given.push(tool.function);
      places.push(place);
    } else others.push(tool.type);
  }
  return { given, places, others };
}

type Tool = NonNullable<ReplyFields["tools"]>[number];
const isFunction = (tool: Tool): tool is z.infer<typeof toolSchema> => tool.type === "function";

function readToolChoice(given: ReplyFields["tool_choice"]): { choice: ToolChoice; allowed?: readonly string[] } {
  if (given == null) return { choice: "auto" };
  if (typeof given === "string") return { choice: given };
  if (given.type === "function") return { choice: { name: given.function.name } };
  const { mode, tools } = given.allowed_tools;
  return { choice: mode, allowed: tools.map((tool) => tool.function.name) };
}

function readTextFormat(given: ReplyFields["response_format"]): TextFormat {
  if (given?.type !== "json_schema") return given ?? { type: "text" };
  return toSchemaFormat(given.json_schema);
}
