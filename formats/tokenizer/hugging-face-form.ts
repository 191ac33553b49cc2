// Writes a tokenizer in the form that @huggingface/tokenizers reads, from the GGUF's own metadata.

import { bytesOfPiece, bytesOfToken } from "../../src/tokenizer/index.ts";
import { byteLevelForm } from "./byte-level.ts";
import { TOKEN_TYPES, type TokenizerFields, tokenizerFields } from "./gguf-fields.ts";
import { sentencePieceForm } from "./sentencepiece.ts";

const { unknown, control, userDefined, unused } = TOKEN_TYPES;

/** A checkpoint as far as its tokenizer goes. */
export interface TokenizerSource {
  readonly manifest: { readonly file: string };
  /** GGUF's, by key. */
  readonly metadata: object;
}

/** What one kind of tokenizer says of itself, in tokenizer.json's words. */
export interface TokenizerForm {
  readonly normalizer: object | null;
  readonly pre_tokenizer: object | null;
  readonly decoder: object;
  readonly model: {
    readonly unk_token: string | null;
    readonly fuse_unk: boolean;
    readonly byte_fallback: boolean;
    readonly ignore_merges: boolean;
  };
  readonly merges: readonly string[];
  /** Texts begin with the bos token where the file does not say. */
  readonly addsBos: boolean;
}

interface Kind {
  form(fields: TokenizerFields): TokenizerForm;
  /** The bytes of an entry that is text. */
  bytesOf(token: string): Uint8Array;
}

/** By `tokenizer.ggml.model`. */
const KINDS: Readonly<Record<string, Kind>> = {
  gpt2: {
    form: byteLevelForm,
    bytesOf: (token) => {
      const bytes = bytesOfToken(token);
      return bytes ? Uint8Array.from(bytes) : new TextEncoder().encode(token);
    },
  },
  llama: { form: sentencePieceForm, bytesOf: bytesOfPiece },
};

export interface TokenizerFile {
  /** As Hugging Face's tokenizer.json. */
  readonly tokenizer: object;
  /** As Hugging Face's tokenizer_config.json; a token that the checkpoint does not have is left out, as is a chat template. */
  readonly config: {
    readonly chat_template?: string | undefined;
    readonly bos_token?: string | undefined;
    readonly eos_token?: string | undefined;
    readonly unk_token?: string | undefined;
    readonly pad_token?: string | undefined;
    readonly clean_up_tokenization_spaces: false;
    /** Only where texts begin with the bos token. */
    readonly add_bos_token?: true;
  };
}

const kindOf = ({ need, fail }: TokenizerFields): Kind => {
  const model = need<string>("tokenizer.ggml.model");
  const kind = KINDS[model];
  if (kind) return kind;
  if (model === "none") throw fail("it has no tokenizer");
  throw fail(`tokenizer ${model} is not supported: gpt2 (byte-level BPE) and llama (SentencePiece's BPE) are`);
};

/**
 * The bytes of each token; none for those that stand for no text, and for single bytes that another token stands for: those are there for
 * what no token spells.
 */
export function tokenBytes({ manifest, metadata }: TokenizerSource): (Uint8Array | undefined)[] {
  const fields = tokenizerFields(manifest.file, metadata);
  const { bytesOf } = kindOf(fields);
  const { tokens, types } = fields;
  const spelled = new Set(tokens.filter((_, id) => types[id] !== TOKEN_TYPES.byte));
  return tokens.map((token, id) => {
    const type = types[id];
    if (type === control || type === unknown || type === unused) return undefined;
    if (type === userDefined) return new TextEncoder().encode(token);
    const bytes = bytesOf(token);
    if (type !== TOKEN_TYPES.byte) return bytes;
    const [byte = 0] = bytes;
    const character = byte === 0x20 ? "\u2581" : String.fromCharCode(byte);
    return byte < 0x80 && spelled.has(character) ? undefined : bytes;
  });
}

/** @throws Error when the checkpoint's tokenizer is of a kind that is not supported */
export function buildTokenizer({ manifest, metadata }: TokenizerSource): TokenizerFile {
  const fields = tokenizerFields(manifest.file, metadata);
  const { normalizer, pre_tokenizer, decoder, model, merges, ...form } = kindOf(fields).form(fields);
  const tokens = fields.need<string[]>("tokenizer.ggml.tokens");
  const { types } = fields;
  const token = (part: string): string | undefined => tokens[fields.idOf(part) ?? -1];
  const added = tokens.flatMap((content, id) =>
    types[id] === control || types[id] === userDefined || types[id] === unknown
      ? [
          {
            id,
            content,
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: types[id] !== userDefined,
          },
        ]
      : [],
  );
  const bos = token("bos");
  const asked = fields.find<boolean>("tokenizer.ggml.add_bos_token");
  if (asked && bos === undefined) throw fields.fail("texts are to begin with a bos token, but it names none");
  const addsBos = bos !== undefined && (asked ?? form.addsBos);
  const { unk_token, ...restOfModel } = model;
  return {
    tokenizer: {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: added,
      normalizer,
      pre_tokenizer,
      post_processor: addsBos ? startsWith(bos, fields.idOf("bos") as number) : null,
      decoder,
      model: {
        type: "BPE",
        dropout: null,
        unk_token,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        ...restOfModel,
        vocab: Object.fromEntries(tokens.map((content, id) => [content, id])),
        merges,
      },
    },
    config: {
      chat_template: fields.find<string>("tokenizer.chat_template"),
      bos_token: bos,
      eos_token: token("eos"),
      unk_token: token("unknown"),
      pad_token: token("padding"),
      clean_up_tokenization_spaces: false,
      ...(addsBos ? { add_bos_token: true } : {}),
    },
  };
}

function startsWith(token: string, id: number): object {
  const special = { SpecialToken: { id: token, type_id: 0 } };
  const sequence = (id: string): object => ({ Sequence: { id, type_id: 0 } });
  return {
    type: "TemplateProcessing",
    single: [special, sequence("A")],
    pair: [special, sequence("A"), special, sequence("B")],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  };
}
