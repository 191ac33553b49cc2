// What the model reads of a conversation's items, and which of them where they do not all fit.

import type { PromptSource } from "../../serving/index.ts";
import { type ChatMessage, callsText, resultText, withInstructions } from "../../tokenizer/index.ts";
import { joinSystem } from "../shared/system-message.ts";
import type { FunctionCallItem, Item } from "./items.ts";

export interface PromptOptions {
  readonly conversation: readonly Item[];
  readonly instructions: string | undefined;
  /** What the model is told of tools and of the reply's form. */
  readonly format: { readonly instructions: string | undefined };
  readonly maxTokens: number | undefined;
  readonly truncation: "auto" | "disabled";
}

export function promptOf(options: PromptOptions): PromptSource {
  const { conversation, maxTokens, truncation } = options;
  const names = new Map(
    conversation.flatMap((item) => (item.type === "function_call" ? [[item.call_id, item.name]] : [])),
  );
  const messagesAfter = (cut: number): ChatMessage[] => toMessages(conversation.slice(cut), names, options);
  const reply = { name: "input", maxTokens, maxTokensParam: "max_output_tokens" } as const;
  return truncation === "disabled"
    ? { kind: "chat", ...reply, messages: messagesAfter(0) }
    : { kind: "conversation", ...reply, cuts: cuts(conversation), messagesAfter };
}

/** Places where a conversation may begin: not between a call and its output. */
function cuts(items: readonly Item[]): number[] {
  const open = new Set<string>();
  return items.flatMap((item, index) => {
    const place = open.size === 0 ? [index] : [];
    if (item.type === "function_call") open.add(item.call_id);
    if (item.type === "function_call_output") open.delete(item.call_id);
    return place;
  });
}

function toMessages(
  items: readonly Item[],
  names: ReadonlyMap<string, string>,
  { instructions, format }: PromptOptions,
): ChatMessage[] {
  const messages: ChatMessage[] = instructions ? [{ role: "system", content: instructions }] : [];
  for (let i = 0; i < items.length; ) {
    const item = items[i] as Item;
    if (item.type === "function_call_output") {
      messages.push({ role: "tool", content: resultText(names.get(item.call_id) ?? "", item.output) });
      i++;
    } else if (item.type === "function_call" || item.role === "assistant") {
      const text = item.type === "message" ? messageText(item) : "";
      if (item.type === "message") i++;
      // Calls are part of the turn in which they were made.
      const calls = callsFrom(items, i);
      i += calls.length;
      messages.push({ role: "assistant", content: calls.length > 0 ? callsText(text, calls) : text });
    } else {
      const content = messageText(item);
      messages.push({ role: item.role === "user" ? "user" : "system", content });
      i++;
    }
  }
  return withInstructions(joinSystem(messages), format.instructions);
}

function callsFrom(items: readonly Item[], start: number): FunctionCallItem[] {
  const calls: FunctionCallItem[] = [];
  for (let i = start; ; i++) {
    const item = items[i];
    if (item?.type !== "function_call") return calls;
    calls.push(item);
  }
}

const messageText = ({ content }: Extract<Item, { type: "message" }>): string =>
  content.map((part) => (part.type === "refusal" ? part.refusal : part.text)).join("\n");
