// Text to token ids and back, for one base model. Encoding lets the event loop in, because all requests of an isolate share a thread.
import { atOnce, inTurns, type Steps, turn } from "../work.ts";
import {
  type ChatConfig,
  type ChatMessage,
  type ChatPiece,
  createRenderChat,
  cutAtSpecials,
  type RenderOptions,
} from "./chat.ts";
import { createEncoder } from "./encoder.ts";
import { createReading, type TokenizerModel } from "./reading.ts";
import { segments } from "./segments.ts";
import { anyOf } from "./shadows.ts";
import { createVocabulary } from "./vocabulary.ts";

/** What the build writes: Hugging Face's tokenizer.json and tokenizer_config.json, with what this reads of them. */
export interface TokenizerJson {
  readonly tokenizer: TokenizerModel & {
    readonly added_tokens: readonly { readonly id: number; readonly content: string; readonly special: boolean }[];
    readonly model: { readonly vocab: Readonly<Record<string, number>> };
  };
  readonly config: ChatConfig;
}

export interface EncodeOptions {
  /** Stops soon after this many tokens. Default: no limit. */
  readonly limit?: number;
  /** Begins with `startIds`, unless the text spells that token first. Default: true. */
  readonly addStart?: boolean;
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
  /** The token that stands for the beginning of a text: bos, else eos. @throws Error when the configuration names neither */
  readonly bosId: number;
  /** What the model was trained to have before every text: `bosId` or nothing. */
  readonly startIds: readonly number[];
  /**
   * Encodes text; a special token that it spells becomes that token, as in transformers.
   * @throws RunTooLongError as `segments` does
   */
  encode(text: string, options?: EncodeOptions): Promise<Encoded>;
  /**
   * Encodes messages under the chat template; what a message spells never becomes a special token.
   * @throws RunTooLongError as `segments` does; ChatTemplateError, WorkLimitError as `RenderChat` does
   */
  encodeChat(messages: readonly ChatMessage[], options?: EncodeOptions & RenderOptions): Promise<Encoded>;
  renderChat(messages: readonly ChatMessage[], options?: RenderOptions): string;
  /**
   * All text of these tokens, special tokens spelled out, without the space that the tokenizer puts before a text. Bytes that are not UTF-8
   * become U+FFFD.
   */
  decode(ids: readonly number[]): string;
  /** The same, with turns for the event loop in between. */
  decodeInTurns(ids: readonly number[]): Promise<string>;
  /** Decodes what comes after a prompt. */
  createDecoding(): TextDecoding;
  /** Decodes a prompt into the text that it was: special tokens spelled out, but without what the tokenizer adds. */
  createEcho(): TextDecoding;
  /** The bytes of one token, a special token's spelling; none for an id that is not in the vocabulary. */
  bytesOf(id: number): Uint8Array;
}

/** Characters encoded between two turns of the event loop, some 5 ms of them; pieces and segments have costs of their own, in characters too. */
const CHARACTERS_PER_TURN = 4096;
const PIECE_COST = 32;
const IDS_PER_TURN = 16_384;
/** More are a piece of work of their own. */
const MESSAGES_PER_TURN = 200;
const SEGMENT_COST = 4;

export function createTokenizer({ tokenizer, config }: TokenizerJson): Tokenizer {
  const specialIds = new Map(tokenizer.added_tokens.map(({ content, id }) => [content, id]));
  const addedIds = new Set(specialIds.values());
  const silentIds = new Set(tokenizer.added_tokens.filter(({ special }) => special).map(({ id }) => id));
  const { vocab } = tokenizer.model;
  const reading = createReading(tokenizer);
  const { bytesOf, size } = createVocabulary(
    new Map([...Object.entries(vocab), ...specialIds]),
    specialIds,
    reading.bytesOf,
  );
  const plain = createEncoder({ ...tokenizer, ...reading.steps }, config, specialIds);
  const render = createRenderChat(config, [...specialIds.keys()]);
  const specials = anyOf([...specialIds.keys()]);
  const prefix = config.bos_token ?? config.eos_token ?? "";
  const prefixId = specialIds.get(prefix) ?? vocab[prefix];
  const startIds = config.add_bos_token && prefixId !== undefined ? [prefixId] : [];

  async function encodePieces(
    pieces: readonly ChatPiece[],
    { limit = Number.POSITIVE_INFINITY, addStart = true }: EncodeOptions,
  ): Promise<Encoded> {
    const [first] = pieces;
    const spelled = first && "special" in first && specialIds.get(first.special) === prefixId;
    const ids: number[] = addStart && !spelled ? [...startIds] : [];
    let sinceTurn = 0;
    for (const piece of pieces) {
      if (ids.length > limit) break;
      if ("special" in piece) {
        ids.push(specialIds.get(piece.special) as number);
        continue;
      }
      sinceTurn += PIECE_COST;
      for (const segment of segments(
        reading.prepare(piece.text, piece === first),
        reading.findBorder,
        reading.segment,
      )) {
        sinceTurn += segment.length + SEGMENT_COST;
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

  function* decodeSteps(ids: readonly number[]): Steps<string> {
    const decoder = utf8();
    let text = "";
    for (const [at, id] of ids.entries()) {
      if (at % IDS_PER_TURN === IDS_PER_TURN - 1) yield;
      text += decoder.decode(bytesOf(id), { stream: true });
    }
    text += decoder.decode();
    return reading.hasPrefix(true) && text.startsWith(" ") ? text.slice(1) : text;
  }

  return {
    config,
    size,
    startIds,
    bytesOf,
    get bosId() {
      if (prefixId === undefined)
        throw new Error("the tokenizer has no token that texts begin with, and none that ends them");
      return prefixId;
    },
    encode: (text, options = {}) => encodePieces(cutAtSpecials(text, specials), options),
    async encodeChat(messages, options = {}) {
      if (messages.length > MESSAGES_PER_TURN) await turn();
      const pieces = render(messages, options);
      if (messages.length > MESSAGES_PER_TURN) await turn();
      return encodePieces(pieces, options);
    },
    renderChat: (messages, options) =>
      render(messages, options)
        .map((piece) => ("text" in piece ? piece.text : piece.special))
        .join(""),
    decode: (ids) => atOnce(decodeSteps(ids)),
    decodeInTurns: (ids) => inTurns(decodeSteps(ids)),
    createDecoding() {
      const decoder = utf8();
      return {
        push: (id) => (silentIds.has(id) ? "" : decoder.decode(bytesOf(id), { stream: true })),
        end: () => decoder.decode(),
      };
    },
    createEcho() {
      const decoder = utf8();
      let isFirst = true;
      let isPrefixed = reading.hasPrefix(true);
      return {
        push(id) {
          if (isFirst && startIds.includes(id)) {
            isFirst = false;
            return "";
          }
          isFirst = false;
          const bytes = bytesOf(id);
          const isSpecial = addedIds.has(id);
          const skip = isPrefixed && !isSpecial && bytes[0] === 0x20 ? 1 : 0;
          isPrefixed = isSpecial && reading.hasPrefix(false);
          return decoder.decode(bytes.subarray(skip), { stream: true });
        },
        end: () => decoder.decode(),
      };
    },
  };
}

const utf8 = (): TextDecoder => new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
