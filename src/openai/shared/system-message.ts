// Templates know one system message, which comes first: those that a conversation begins with become one.
import type { ChatMessage } from "../../tokenizer/index.ts";

/** Joins the leading messages of role `system` by an empty line. */
export function joinSystem(messages: readonly ChatMessage[]): ChatMessage[] {
  const found = messages.findIndex(({ role }) => role !== "system");
  const count = found < 0 ? messages.length : found;
  if (count < 2) return [...messages];
  const content = messages
    .slice(0, count)
    .map((message) => message.content)
    .join("\n\n");
  return [{ role: "system", content }, ...messages.slice(count)];
}
