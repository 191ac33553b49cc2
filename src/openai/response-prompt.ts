// What the model reads of a conversation's items, and which of them where they do not all fit.

import { fitPrompt, type Prompt } from "../serving/prompt.ts";
import { type ChatMessage, callsText, resultText, type Tokenizer, withInstructions } from "../tokenizer/index.ts";
import { ApiError } from "./errors.ts";
import type { FunctionCallItem, Item } from "./response-items.ts";
import { joinSystem } from "./system-message.ts";

export interface PromptOptions {
  readonly conversation: readonly Item[];
  readonly instructions: string | undefined;
  /** What the model is told of tools and of the reply's form. */
  readonly format: { readonly instructions: string | undefined };
  readonly maxTokens: number | undefined;
  readonly truncation: "auto" | "disabled";
  /** Called with how many of the oldest items were left out. */
  onDropped(count: number): void;
}

/** Reads the prompt, as `Ask` has it. */
export function createPrompts(options: PromptOptions) {
  const { conversation, maxTokens, truncation, onDropped } = options;
  const names = new Map(
    conversation.flatMap((item) => (item.type === "function_call" ? [[item.call_id, item.name]] : [])),
  );
  return async (tokenizer: Tokenizer, room: number): Promise<readonly Prompt[]> => {
    const without = (dropped: number, needsRoom: boolean): Promise<Prompt> => {
      const messages = toMessages(conversation.slice(dropped), names, options);
      return fitPrompt(
        {
          name: "input",
          characters: messages.reduce((total, { content }) => total + content.length, 0),
          encode: (limit) => tokenizer.encodeChat(messages, { limit }),
          maxTokens,
          maxTokensParam: "max_output_tokens",
          needsRoom,
        },
        room,
      );
    };
    if (truncation === "disabled") return [await without(0, false)];
    const places = cuts(conversation);
    const found = await firstThatFits(places, (dropped) => without(dropped, true));
    const last = places.at(-1) as number;
    // The reply is shortened only where there is nothing more to drop.
    const { value, index } = found ?? { value: await without(last, false), index: last };
    onDropped(index);
    return [value];
  };
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

/** The first place from which on the prompt fits; undefined when there is none. Fewer items are always fewer tokens, so that halving finds it. */
async function firstThatFits(places: readonly number[], read: (place: number) => Promise<Prompt>) {
  const attempt = async (place: number): Promise<Prompt | ApiError> =>
    read(place).catch((error: unknown) => {
      if (error instanceof ApiError && error.code === "context_length_exceeded") return error;
      throw error;
    });
  let low = 0;
  let high = places.length - 1;
  let found: { value: Prompt; index: number } | undefined;
  // The whole is likeliest to fit.
  for (let at = 0; low <= high; at = (low + high) >> 1) {
    const index = places[at] as number;
    const value = await attempt(index);
    if (!(value instanceof ApiError)) {
      found = { value, index };
      high = at - 1;
    } else low = at + 1;
  }
  return found;
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
