// How tools are put to a model whose chat template has no place for them: what it is told of them, and how calls and their
// results stand in a conversation. Lists, calls and markers are written as SmolLM2-Instruct saw them in training (its model card, "Function
// calling"), so that a call which comes back in the next request reads as the model wrote it.
import { TOOL_CALLS } from "../grammar/index.ts";
import type { ChatMessage } from "./chat.ts";

export interface ToolDescription {
  readonly name: string;
  readonly description?: string | undefined;
  /** JSON schema of the arguments. */
  readonly parameters?: unknown;
}

/** A call of a tool. */
export interface ToolCall {
  readonly name: string;
  /** As it was written: JSON, unless a client made it up. */
  readonly arguments: string;
}

const { open, close } = TOOL_CALLS;

/** What a model is told of tools. */
export function toolInstructions(tools: readonly ToolDescription[]): string {
  const list = tools.map(({ name, description, parameters }) => ({
    type: "function",
    function: { name, description, parameters: parameters ?? { type: "object", properties: {} } },
  }));
  return [
    "You have these tools:",
    `<tools>${JSON.stringify(list)}</tools>`,
    `To call tools, reply with nothing but ${open}[{"name": "tool_name", "arguments": {"argument_name": "value"}}]${close}; a list with an entry for each call. Their results come next. When no call is needed, reply in plain text.`,
  ].join("\n");
}

/** What a model is told of a reply that has to be JSON. @param schema Default: any object */
export function jsonInstructions(schema?: unknown, description?: string): string {
  const about = description ? ` ${description}` : "";
  if (schema === undefined) return `Reply with nothing but one JSON object.${about}`;
  return `Reply with nothing but JSON that fits this JSON schema.${about}\n${JSON.stringify(schema)}`;
}

/** An assistant's turn that called tools, with the text that came before. */
export function callsText(content: string, calls: readonly ToolCall[]): string {
  const entries = calls.map(
    ({ name, arguments: json }) => `{"name": ${JSON.stringify(name)}, "arguments": ${asJson(json)}}`,
  );
  return `${content}${open}[${entries.join(", ")}]${close}`;
}

/** What a tool gave back. */
export const resultText = (name: string, content: string): string =>
  `<tool_response>{"name": ${JSON.stringify(name)}, "content": ${asJson(content)}}</tool_response>`;

/** JSON stays as it is written, other text becomes a string. */
function asJson(text: string): string {
  try {
    JSON.parse(text);
    return text;
  } catch {
    return JSON.stringify(text);
  }
}

/** Adds what the gateway says, which goes where the model's template has a place for it. */
export const withInstructions = (messages: readonly ChatMessage[], instructions: string | undefined): ChatMessage[] =>
  instructions === undefined ? [...messages] : [{ role: "instructions", content: instructions }, ...messages];
