// Renders messages with the checkpoint's own chat template, and keeps what a message spells apart from what the template says.
import { createWork, type Work, WorkLimitError } from "../work.ts";
import { placeRoles, rolesOf, type TemplateRoles } from "./roles.ts";
import { anyOf, createShadows } from "./shadows.ts";
import { type ParsedTemplate, parseTemplate } from "./template.ts";

export interface ChatMessage {
  /**
   * `tool` has what a tool gave back, as `resultText` writes it; `instructions`, which come first, what the gateway says of tools and of a
   * reply's form: they are part of the system message, or of the first user's where a template has no place for one.
   */
  readonly role: "instructions" | "system" | "user" | "assistant" | "tool";
  readonly content: string;
}

/** tokenizer_config.json, with what the template needs of it. */
export interface ChatConfig {
  /** Base models have none. */
  readonly chat_template?: string | undefined;
  readonly bos_token?: string | undefined;
  readonly eos_token?: string | undefined;
  readonly pad_token?: string | undefined;
  readonly unk_token?: string | undefined;
  /** Texts begin with the bos token. Default: false. */
  readonly add_bos_token?: boolean;
}

export interface RenderOptions {
  /** Ends the text with the opening of the assistant's turn. Default: true. */
  readonly addGenerationPrompt?: boolean;
}

/** The template refused the messages, or the model has none; the message says why. */
export class ChatTemplateError extends Error {
  override readonly name = "ChatTemplateError";
  /** What of the request is at fault. */
  readonly param: "messages" | "model";
  constructor(message: string, param: ChatTemplateError["param"]) {
    super(message);
    this.param = param;
  }
}

/** A rendered piece: a special token of the template, or text that holds none even when a message spells one. */
export type ChatPiece = { readonly special: string } | { readonly text: string };

/**
 * Messages under the template, cut at the special tokens that the template writes. Messages come from strangers: one that spells
 * `<|im_end|>` does not end its turn, while the template's own functions on strings see the text that was sent. (transformers makes special
 * tokens of both.)
 * @throws ChatTemplateError, or WorkLimitError for messages that are too many, or too much for the template
 */
export type RenderChat = (messages: readonly ChatMessage[], options?: RenderOptions) => ChatPiece[];

/** @param specials spellings of all special tokens */
export function createRenderChat(config: ChatConfig, specials: readonly string[]): RenderChat {
  const { chat_template, bos_token, eos_token, unk_token, pad_token } = config;
  if (chat_template === undefined) {
    return () => {
      throw new ChatTemplateError(
        "the model has no chat template, as base models that were not trained on conversations: send it a prompt with POST /v1/completions",
        "model",
      );
    };
  }
  const isSpecial = anyOf(specials);
  const variables = { bos_token, eos_token, unk_token, pad_token, tools: null, documents: null };
  let template: ParsedTemplate | undefined;
  let roles: TemplateRoles | undefined;
  const render = (
    messages: readonly ChatMessage[],
    { addGenerationPrompt: add_generation_prompt = true }: RenderOptions,
    work: Work,
    show = (text: string): string => text,
  ) => {
    template ??= parseTemplate(chat_template);
    return template.render({ ...variables, messages, add_generation_prompt }, show, work);
  };
  return (messages, options = {}) => {
    try {
      roles ??= rolesOf((probe) => render(probe, {}, createWork()));
      const placed = placeRoles(messages, roles);
      const shadows = createShadows(specials, [chat_template, ...placed.map(({ content }) => content)]);
      const hidden = placed.map(({ role, content }) => ({ role, content: shadows.hide(content) }));
      return cutAtSpecials(render(hidden, options, createWork(), shadows.show), isSpecial).map((piece) =>
        "text" in piece ? { text: shadows.show(piece.text) } : piece,
      );
    } catch (error) {
      if (error instanceof WorkLimitError) throw error;
      throw new ChatTemplateError(
        `the model's chat template refuses these messages: ${(error as Error).message}`,
        "messages",
      );
    }
  };
}

/** Cuts a text at every special token that it spells. */
export function cutAtSpecials(text: string, specials: RegExp): ChatPiece[] {
  const pieces: ChatPiece[] = [];
  let end = 0;
  for (const match of text.matchAll(specials)) {
    if (match.index > end) pieces.push({ text: text.slice(end, match.index) });
    pieces.push({ special: match[0] });
    end = match.index + match[0].length;
  }
  if (end < text.length) pieces.push({ text: text.slice(end) });
  return pieces;
}
