// Reads a reply that may be calls of tools as it comes: text, or calls with their arguments piece by piece, whatever the pieces of the text.
import { TOOL_CALLS } from "../../grammar/index.ts";
import type { FrameToken } from "../../serving/index.ts";
import type { ToolCall } from "../../tokenizer/index.ts";

export type ReplyPiece =
  /** Text, and the tokens that end in it where log-probabilities were asked for. */
  | { readonly type: "content"; readonly text: string; readonly tokens: readonly FrameToken[] }
  /** A call begins. Calls are numbered from 0. */
  | { readonly type: "call"; readonly index: number; readonly name: string }
  /** The next piece of a call's arguments, which are JSON once they are whole. Never empty. */
  | { readonly type: "arguments"; readonly index: number; readonly text: string };

export interface ReplyReader {
  /** Takes the next text with the tokens that end in it. */
  push(text: string, tokens: readonly FrameToken[]): ReplyPiece[];
  /** What was held back, as it might have become a call. */
  end(): ReplyPiece[];
  /** Calls that have begun. */
  readonly calls: number;
  /** Whether the reply is calls, though none may have begun. */
  readonly isCalls: boolean;
}

/** What comes before a call's arguments, which begin with the next brace. */
const BEFORE = /^(?:\[|\}, ?)\{"name": ?"([^"]*)", ?"arguments": ?(?=\{)/;

/** @param mayCall whether the reply's grammar is one of calls; without it all is text, whatever it looks like */
export function createReplyReader(mayCall: boolean): ReplyReader {
  const { open } = TOOL_CALLS;
  let state: "undecided" | "text" | "between" | "arguments" = mayCall ? "undecided" : "text";
  /** Text that is not told yet, and its tokens. */
  let held = "";
  let heldTokens: FrameToken[] = [];
  let calls = 0;
  const argument = createObjectFinder();

  const content = (text: string, tokens: readonly FrameToken[]): ReplyPiece[] =>
    text || tokens.length > 0 ? [{ type: "content", text, tokens }] : [];
  const readCalls = (text: string): ReplyPiece[] => {
    const pieces: ReplyPiece[] = [];
    held += text;
    for (;;) {
      if (state === "between") {
        const before = BEFORE.exec(held);
        if (!before) return pieces;
        held = held.slice(before[0].length);
        pieces.push({ type: "call", index: calls++, name: before[1] as string });
        state = "arguments";
      }
      const length = argument.push(held);
      if (length > 0) pieces.push({ type: "arguments", index: calls - 1, text: held.slice(0, length) });
      held = held.slice(length);
      if (!argument.complete) return pieces;
      state = "between";
    }
  };

  return {
    push(text, tokens) {
      if (state === "text") return content(text, tokens);
      if (state !== "undecided") return readCalls(text);
      held += text;
      heldTokens.push(...tokens);
      if (held.startsWith(open)) {
        held = held.slice(open.length);
        heldTokens = [];
        state = "between";
        return readCalls("");
      }
      if (open.startsWith(held)) return [];
      state = "text";
      return content(held, heldTokens);
    },
    end() {
      if (state !== "undecided") return [];
      state = "text";
      return content(held, heldTokens);
    },
    get calls() {
      return calls;
    },
    get isCalls() {
      return state === "between" || state === "arguments";
    },
  };
}

/** Finds where a JSON object ends that comes in pieces. */
function createObjectFinder() {
  let depth = 0;
  let inString = false;
  let escaped = false;
  let complete = false;
  return {
    /** @returns characters of the text that belong to the object; the first text after a complete one begins another */
    push(text: string): number {
      complete = false;
      for (let i = 0; i < text.length; i++) {
        const character = text[i];
        if (inString) {
          if (escaped) escaped = false;
          else if (character === "\\") escaped = true;
          else if (character === '"') inString = false;
        } else if (character === '"') inString = true;
        else if (character === "{") depth++;
        else if (character === "}" && --depth === 0) {
          complete = true;
          return i + 1;
        }
      }
      return text.length;
    },
    /** Whether the last text ended the object. */
    get complete() {
      return complete;
    },
  };
}

/** A whole reply. */
export interface ReadReply {
  /** Null in a reply of calls. */
  readonly content: string | null;
  readonly tokens: readonly FrameToken[];
  readonly calls: readonly ToolCall[];
}

export function readReply(mayCall: boolean, text: string, tokens: readonly FrameToken[]): ReadReply {
  const reader = createReplyReader(mayCall);
  const pieces = [...reader.push(text, tokens), ...reader.end()];
  const calls: { name: string; arguments: string }[] = [];
  for (const piece of pieces) {
    if (piece.type === "call") calls.push({ name: piece.name, arguments: "" });
    if (piece.type === "arguments") (calls[piece.index] as (typeof calls)[number]).arguments += piece.text;
  }
  return reader.isCalls ? { content: null, tokens: [], calls } : { content: text, tokens, calls };
}
