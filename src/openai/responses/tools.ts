// What a response may be, as the Responses API asks for it: the form of its text, and the functions that may be called.
import { z } from "@hono/zod-openapi";
import { otherToolSchema, otherToolsLeftOut } from "../shared/other-tools.ts";
import { createReplyFormat, type ReplyFormat, type ToolChoice } from "../shared/reply-format.ts";
import {
  functionNameSchema,
  jsonSchemaSchema,
  MAX_TOOLS,
  refuseSameNames,
  toFunctionTool,
  toSchemaFormat,
} from "../shared/tools.ts";
import { otherType } from "../shared/validate.ts";

const name = functionNameSchema;
const schema = jsonSchemaSchema;

export const textSchema = z
  .object({
    format: z
      .discriminatedUnion(
        "type",
        [
          z.object({ type: z.literal("text") }),
          z.object({ type: z.literal("json_object") }),
          z.object({
            type: z.literal("json_schema"),
            name,
            description: z.string().nullish(),
            schema,
            strict: z.boolean().nullish(),
          }),
        ],
        { error: otherType("formats", ["text", "json_object", "json_schema"]) },
      )
      .nullish(),
  })
  .openapi({ description: "`format` is what the text is to be: it always fits the schema. Default: any text." });

export const toolsSchema = z
  .array(
    z.union(
      [
        z.object({
          type: z.literal("function"),
          name,
          description: z.string().nullish(),
          parameters: schema.nullish(),
          strict: z.boolean().nullish(),
        }),
        otherToolSchema,
      ],
      { error: "expected a tool, which is an object with a 'type'" },
    ),
  )
  .max(MAX_TOOLS)
  .openapi({ description: "Functions that the model may call. `strict` asks for OpenAI's rules for strict schemas." });

const functionChoice = z.object({ type: z.literal("function"), name });
export const toolChoiceSchema = z
  .union(
    [
      z.discriminatedUnion(
        "type",
        [
          functionChoice,
          z.object({
            type: z.literal("allowed_tools"),
            mode: z.enum(["auto", "required"]),
            tools: z.array(functionChoice).min(1),
          }),
        ],
        { error: otherType("choices", ["function", "allowed_tools"]) },
      ),
      z.enum(["none", "auto", "required"]),
    ],
    { error: "expected 'none', 'auto', 'required' or an object of type 'function' or 'allowed_tools'" },
  )
  .openapi({ description: "Default: `auto`." });

export interface ResponseFormat extends ReplyFormat {
  /** As the response repeats them. */
  readonly text: Record<string, unknown>;
  readonly tools: readonly Record<string, unknown>[];
  readonly toolChoice: z.infer<typeof toolChoiceSchema>;
  /** What of the request was left out. */
  readonly leftOut: readonly string[];
}

interface FormatFields {
  readonly text?: z.infer<typeof textSchema> | null | undefined;
  readonly tools?: z.infer<typeof toolsSchema> | null | undefined;
  readonly tool_choice?: z.infer<typeof toolChoiceSchema> | null | undefined;
  readonly parallel_tool_calls?: boolean | null | undefined;
}

/** @throws ApiError that names the field at fault */
export async function readResponseFormat(fields: FormatFields): Promise<ResponseFormat> {
  const { text, tools: given, tool_choice: toolChoice, parallel_tool_calls: parallel } = fields;
  const format = text?.format ?? { type: "text" as const };
  const functions = (given ?? []).flatMap((tool, at) => (isFunction(tool) ? { tool, at } : []));
  const tools = functions.map(({ tool }) => toFunctionTool(tool));
  /** A tool's place in the request. */
  const placeOf = (index: number): number => functions[index]?.at ?? index;
  refuseSameNames(tools, (index) => `tools.${placeOf(index)}.name`);
  const wished = toolChoice ?? "auto";
  const allowed = typeof wished === "object" && wished.type === "allowed_tools" ? wished : undefined;
  const named = typeof wished === "object" && wished.type === "function" ? wished : undefined;
  const choice: ToolChoice = named ?? allowed?.mode ?? (wished as "none" | "auto" | "required");
  const reply = await createReplyFormat({
    text: format.type === "json_schema" ? toSchemaFormat(format) : format,
    tools,
    choice,
    allowed: allowed?.tools.map(({ name }) => name),
    parallel: parallel ?? true,
    params: {
      schema: "text.format.schema",
      parameters: (index) => `tools.${placeOf(index)}.parameters`,
      format: "text.format",
      tools: "tools",
      choice: "tool_choice",
    },
  });
  return {
    ...reply,
    text: format,
    tools: functions.map(({ tool }) => ({
      type: "function",
      name: tool.name,
      description: tool.description ?? null,
      parameters: tool.parameters ?? null,
      strict: tool.strict ?? false,
    })),
    toolChoice: wished,
    leftOut: otherToolsLeftOut((given ?? []).flatMap((tool) => (isFunction(tool) ? [] : tool.type))),
  };
}

type Tool = z.infer<typeof toolsSchema>[number];
const isFunction = (tool: Tool): tool is Extract<Tool, { type: "function" }> => tool.type === "function";
