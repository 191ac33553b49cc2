// Which roles a chat template has a place for, and where what belongs to the others goes.
import type { ChatMessage } from "./chat.ts";

export interface TemplateRoles {
  readonly system: boolean;
  readonly tool: boolean;
}

const PROBE = "franken-probe";

/**
 * Finds out by trying: a template that refuses a role, and one that leaves out what is said in it, have no place for it.
 * @param render a conversation under the template; may throw
 */
export function rolesOf(render: (messages: readonly ChatMessage[]) => string): TemplateRoles {
  const has = (...messages: readonly ChatMessage[]): boolean => {
    try {
      return render(messages).includes(PROBE);
    } catch {
      return false;
    }
  };
  const [user, assistant] = [{ role: "user", content: "a" } as const, { role: "assistant", content: "b" } as const];
  return {
    system: has({ role: "system", content: PROBE }, user),
    tool: has(user, assistant, { role: "tool", content: PROBE }),
  };
}

/**
 * Messages in the roles that the template has. What a client says as the system stays so, whatever the template makes of it; what tools
 * gave back becomes a user's turn, together with what the user says before and after it: many templates want turns to alternate.
 */
export function placeRoles(messages: readonly ChatMessage[], roles: TemplateRoles): ChatMessage[] {
  const said = messages.filter(({ role }) => role !== "instructions");
  const turns = roles.tool ? said : withoutTools(said);
  const instructions = messages.flatMap(({ role, content }) => (role === "instructions" ? [content] : [])).join("\n\n");
  if (instructions === "") return turns;
  if (roles.system) {
    const [first, ...rest] = turns;
    if (first?.role !== "system") return [{ role: "system", content: instructions }, ...turns];
    return [{ role: "system", content: `${first.content}\n\n${instructions}` }, ...rest];
  }
  const at = turns.findIndex(({ role }) => role === "user");
  if (at < 0) return [{ role: "user", content: instructions }, ...turns];
  return turns.map((turn, i) => (i === at ? { ...turn, content: `${instructions}\n\n${turn.content}` } : turn));
}

function withoutTools(messages: readonly ChatMessage[]): ChatMessage[] {
  const turns: ChatMessage[] = [];
  for (const [i, { role, content }] of messages.entries()) {
    const last = turns.at(-1);
    const joins = last?.role === "user" && (role === "tool" || (role === "user" && messages[i - 1]?.role === "tool"));
    if (joins) turns[turns.length - 1] = { role: "user", content: `${last.content}\n${content}` };
    else turns.push({ role: role === "tool" ? "user" : role, content });
  }
  return turns;
}
