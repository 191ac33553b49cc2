// Renders messages with the checkpoint's own chat template, and keeps what a message spells apart from what the template says.
import { Template } from "@huggingface/jinja";

export interface ChatMessage {
  /** `tool` has what a tool gave back, as `resultText` writes it. */
  readonly role: "system" | "user" | "assistant" | "tool";
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

export type RenderChat = (messages: readonly ChatMessage[], options?: RenderOptions) => string;

export function createRenderChat({ chat_template, bos_token, eos_token }: ChatConfig): RenderChat {
  if (chat_template === undefined) {
    return () => {
      throw new ChatTemplateError(
        "the model has no chat template, as base models that were not trained on conversations: send it a prompt with POST /v1/completions",
        "model",
      );
    };
  }
  let template: Template | undefined;
  return (messages, { addGenerationPrompt = true } = {}) => {
    try {
      template ??= new Template(chat_template);
      return template.render({ messages, add_generation_prompt: addGenerationPrompt, bos_token, eos_token });
    } catch (error) {
      throw new ChatTemplateError(
        `the model's chat template refuses these messages: ${(error as Error).message}`,
        "messages",
      );
    }
  };
}

/** A rendered piece: a special token of the template, or text that holds none even when a message spells one. */
export type ChatPiece = { readonly special: string } | { readonly text: string };

/**
 * Messages come from strangers: a message that spells `<|im_end|>` must not end its turn. So before rendering, whatever a message spells
 * of a special token is broken by a mark that nobody can guess; the mark is taken out again once the text has been cut at the special
 * tokens that are left, which are the template's. (transformers makes special tokens of both.)
 * @param specials matches any special token, with the flag `g`
 */
export function renderPieces(
  render: RenderChat,
  messages: readonly ChatMessage[],
  specials: RegExp,
  options?: RenderOptions,
): ChatPiece[] {
  const mark = `\uFDD0${crypto.randomUUID()}\uFDD1`;
  const broken = messages.map(({ role, content }) => ({
    role,
    content: content.replace(specials, (spelled) => spelled.slice(0, 1) + mark + spelled.slice(1)),
  }));
  return cutAtSpecials(render(broken, options), specials).map((piece) =>
    "text" in piece ? { text: piece.text.replaceAll(mark, "") } : piece,
  );
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
