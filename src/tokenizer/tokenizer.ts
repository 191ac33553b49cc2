// Text to token ids and back, for one base model. Encoding lets the event loop in, because all requests of an isolate share a thread.
import { Tokenizer as BpeTokenizer } from "@huggingface/tokenizers";
import {
  type ChatConfig,
  type ChatMessage,
  type ChatPiece,
  createRenderChat,
  cutAtSpecials,
  type RenderOptions,
  renderPieces,
} from "./chat.ts";
import { segments } from "./segments.ts";
import { createVocabulary } from "./vocabulary.ts";

/** What the build writes: Hugging Face's tokenizer.json and tokenizer_config.json, with what this reads of them. */
export interface TokenizerJson {
  readonly tokenizer: {
    readonly added_tokens: readonly { readonly id: number; readonly content: string; readonly special: boolean }[];
    readonly model: { readonly vocab: Readonly<Record<string, number>> };
  };
  readonly config: ChatConfig;
}

export interface EncodeOptions {
  /** Stops soon after this many tokens. Default: no limit. */
  readonly limit?: number;
}

export interface Encoded {
  readonly ids: number[];
  /** False when the text has more than `limit` tokens; `ids` are then some of the first. */
  readonly complete: boolean;
}

/** Turns tokens into text as they come. */
export interface TextDecoding {
  /** The text that this token completes, often empty: part of a character is held back, a special token has no text. */
  push(id: number): string;
  /** What is left: U+FFFD for each character that was never completed. */
  end(): string;
}

export interface Tokenizer {
  readonly config: ChatConfig;
  /** Ids are below this. */
  readonly size: number;
  /** The token that texts begin with. @throws Error when the configuration names none */
  readonly bosId: number;
  /**
   * Encodes text; a special token that it spells becomes that token, as in transformers.
   * @throws RunTooLongError as `segments` does
   */
  encode(text: string, options?: EncodeOptions): Promise<Encoded>;
  /**
   * Encodes messages under the chat template; what a message spells never becomes a special token.
   * @throws RunTooLongError as `segments` does
   */
  encodeChat(messages: readonly ChatMessage[], options?: EncodeOptions & RenderOptions): Promise<Encoded>;
  renderChat(messages: readonly ChatMessage[], options?: RenderOptions): string;
  /** All text of these tokens, special tokens spelled out. Bytes that are not UTF-8 become U+FFFD. */
  decode(ids: readonly number[]): string;
  createDecoding(): TextDecoding;
  /** The bytes of one token, a special token's spelling; none for an id that is not in the vocabulary. */
  bytesOf(id: number): Uint8Array;
}

/** Characters encoded between two turns of the event loop, some 5 ms of them; a piece has a cost of its own, in characters too. */
const CHARACTERS_PER_TURN = 4096;
const PIECE_COST = 32;

export function createTokenizer({ tokenizer, config }: TokenizerJson): Tokenizer {
  const specialIds = new Map(tokenizer.added_tokens.map(({ content, id }) => [content, id]));
  const silentIds = new Set(tokenizer.added_tokens.filter(({ special }) => special).map(({ id }) => id));
  const vocabulary = createVocabulary(new Map([...Object.entries(tokenizer.model.vocab), ...specialIds]), specialIds);
  // Without added tokens: which pieces of a text are special tokens is decided here, not by what the text spells.
  const plain = new BpeTokenizer({ ...tokenizer, added_tokens: [] }, config);
  const renderChat = createRenderChat(config);
  const specials = anyOf([...specialIds.keys()]);

  async function encodePieces(pieces: readonly ChatPiece[], limit: number): Promise<Encoded> {
    const ids: number[] = [];
    let sinceTurn = 0;
    for (const piece of pieces) {
      if (ids.length > limit) break;
      if ("special" in piece) {
        ids.push(specialIds.get(piece.special) as number);
        continue;
      }
      for (const segment of segments(piece.text)) {
        sinceTurn += segment.length + PIECE_COST;
        if (sinceTurn > CHARACTERS_PER_TURN) {
          sinceTurn = 0;
          await turn();
        }
        for (const id of plain.encode(segment, { add_special_tokens: false }).ids) ids.push(id);
        if (ids.length > limit) break;
      }
    }
    return { ids, complete: ids.length <= limit };
  }

  return {
    config,
    size: vocabulary.size,
    get bosId() {
      const id = specialIds.get(config.bos_token ?? "");
      if (id === undefined) throw new Error(`the tokenizer has no token that texts begin with: ${config.bos_token}`);
      return id;
    },
    encode: (text, { limit = Number.POSITIVE_INFINITY } = {}) => encodePieces(cutAtSpecials(text, specials), limit),
    encodeChat: (messages, { limit = Number.POSITIVE_INFINITY, ...options } = {}) =>
      encodePieces(renderPieces(renderChat, messages, specials, options), limit),
    renderChat,
    bytesOf: vocabulary.bytesOf,
    decode(ids) {
      const decoder = utf8();
      return ids.map((id) => decoder.decode(vocabulary.bytesOf(id), { stream: true })).join("") + decoder.decode();
    },
    createDecoding() {
      const decoder = utf8();
      return {
        push: (id) => (silentIds.has(id) ? "" : decoder.decode(vocabulary.bytesOf(id), { stream: true })),
        end: () => decoder.decode(),
      };
    },
  };
}

const utf8 = (): TextDecoder => new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

function anyOf(texts: readonly string[]): RegExp {
  const escaped = [...texts]
    .sort((a, b) => b.length - a.length)
    .map((text) => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  return new RegExp(escaped.length > 0 ? escaped.join("|") : "(?!)", "g");
}
