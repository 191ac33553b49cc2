// Writes a tokenizer in the form that @huggingface/tokenizers reads, from the GGUF's own metadata.
import { bytesOfToken } from "../../src/tokenizer/alphabet.ts";
import type { Checkpoint } from "./checkpoint.ts";

/** GGUF's token types that are matched as a whole before the text is split. */
const CONTROL = 3;
const USER_DEFINED = 4;

/** How each `tokenizer.ggml.pre` splits text before the byte-level BPE. */
export const PRE_TOKENIZERS: Record<string, object[]> = {
  smollm: [
    { type: "Digits", individual_digits: true },
    { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
  ],
};

export interface TokenizerFile {
  /** As Hugging Face's tokenizer.json. */
  readonly tokenizer: object;
  /** As Hugging Face's tokenizer_config.json. */
  readonly config: {
    readonly chat_template: string;
    readonly bos_token: string;
    readonly eos_token: string;
    readonly unk_token: string;
    readonly pad_token: string;
    readonly clean_up_tokenization_spaces: false;
  };
}

/** The bytes of each token, in byte-level BPE's alphabet or as they are; none for those that stand for no text. */
export function tokenBytes({ metadata }: Checkpoint): (Uint8Array | undefined)[] {
  const fields = metadata as Record<string, unknown>;
  const tokens = fields["tokenizer.ggml.tokens"] as string[];
  const types = fields["tokenizer.ggml.token_type"] as number[];
  return tokens.map((token, id) => {
    if (types[id] === CONTROL) return undefined;
    const bytes = types[id] === USER_DEFINED ? undefined : bytesOfToken(token);
    return bytes ? Uint8Array.from(bytes) : new TextEncoder().encode(token);
  });
}

/** @throws Error when the checkpoint's tokenizer is of a kind that is not supported */
export function buildTokenizer({
  manifest,
  metadata,
}: {
  readonly manifest: Pick<Checkpoint["manifest"], "file">;
  /** GGUF's, by key. */
  readonly metadata: object;
}): TokenizerFile {
  const field = <T>(name: string): T => {
    const value = (metadata as Record<string, unknown>)[name];
    if (value === undefined) throw new Error(`${manifest.file}: metadata ${name} is missing`);
    return value as T;
  };
  const model = field<string>("tokenizer.ggml.model");
  const pre = field<string>("tokenizer.ggml.pre");
  const preTokenizers = PRE_TOKENIZERS[pre];
  if (model !== "gpt2" || !preTokenizers) {
    throw new Error(
      `${manifest.file}: tokenizer ${model}/${pre} is not supported (only gpt2 with ${Object.keys(PRE_TOKENIZERS)})`,
    );
  }
  const tokens = field<string[]>("tokenizer.ggml.tokens");
  const types = field<number[]>("tokenizer.ggml.token_type");
  const token = (name: string): string => tokens[field<number>(`tokenizer.ggml.${name}_token_id`)] as string;
  const added = tokens.flatMap((content, id) =>
    types[id] === CONTROL || types[id] === USER_DEFINED
      ? [
          {
            id,
            content,
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: types[id] === CONTROL,
          },
        ]
      : [],
  );
  return {
    tokenizer: {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: added,
      normalizer: null,
      pre_tokenizer: { type: "Sequence", pretokenizers: preTokenizers },
      post_processor: null,
      decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(tokens.map((content, id) => [content, id])),
        merges: field<string[]>("tokenizer.ggml.merges"),
      },
    },
    config: {
      chat_template: field<string>("tokenizer.chat_template"),
      bos_token: token("bos"),
      eos_token: token("eos"),
      unk_token: token("unknown"),
      pad_token: token("padding"),
      clean_up_tokenization_spaces: false,
    },
  };
}
