// Tokenizers as GGUF's metadata and as Hugging Face's files.

import type { TokenizerSource } from "../checkpoint.ts";
import { UserError } from "../error.ts";
import type { MetadataEntry } from "../gguf/writer.ts";
import { metadataOfFiles, specialsOfFiles } from "./files.ts";
import { tokenizerFields } from "./gguf-fields.ts";
import { buildTokenizer } from "./hugging-face-form.ts";

/** Ids of the tokens that a model's configuration names. */
export interface SpecialTokens {
  readonly bos: number | undefined;
  /** All that end a text. */
  readonly eos: readonly number[];
  readonly pad: number | undefined;
}

export function specialTokens(source: TokenizerSource): SpecialTokens {
  if (source.kind === "files") return specialsOfFiles(source.files);
  const { idOf, endIds } = tokenizerFields("", source.metadata);
  return { bos: idOf("bos"), eos: endIds, pad: idOf("padding") };
}

/** The files that transformers loads a tokenizer from; none where the checkpoint has no tokenizer. */
export function tokenizerFiles(source: TokenizerSource, name: string): Map<string, Uint8Array> {
  if (source.kind === "files") {
    return new Map([...source.files].filter(([file]) => TOKENIZER_FILES.includes(file)));
  }
  if (!("tokenizer.ggml.model" in source.metadata)) return new Map();
  const json = (value: unknown): Uint8Array => Buffer.from(`${JSON.stringify(value, null, 1)}\n`);
  try {
    const { tokenizer, config } = buildTokenizer({ manifest: { file: name }, metadata: source.metadata });
    const { bos_token, eos_token, unk_token, pad_token } = config;
    return new Map([
      ["tokenizer.json", json(tokenizer)],
      ["tokenizer_config.json", json({ tokenizer_class: "PreTrainedTokenizerFast", ...config })],
      ["special_tokens_map.json", json({ bos_token, eos_token, unk_token, pad_token })],
    ]);
  } catch (error) {
    throw new UserError((error as Error).message);
  }
}

/** Files of a Hugging Face folder that are the tokenizer's. */
const TOKENIZER_FILES = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "chat_template.jinja",
  "tokenizer.model",
  "vocab.json",
  "merges.txt",
];

/** Files of a Hugging Face folder that a checkpoint keeps beside its tensors. */
export const SIDE_FILES = [...TOKENIZER_FILES, "config.json", "generation_config.json"];

/** How the metadata that GGUF has of tokenizers is typed, where its value does not say. */
const TYPES: readonly (readonly [key: RegExp, type: MetadataEntry[1]])[] = [
  [/\.(tokens|merges|chat_templates)$/, "string[]"],
  [/\.token_type$/, "i32[]"],
  [/\.scores$/, "f32[]"],
  [/_token_id$/, "u32"],
  [/\.eos_token_ids$/, "u32[]"],
];

/**
 * A tokenizer as GGUF's metadata; of a checkpoint without one, that there is none.
 * @throws UserError when a Hugging Face folder's tokenizer is of a kind that GGUF has no word for
 */
export function ggufTokenizer(source: TokenizerSource, vocab: number, name: string): MetadataEntry[] {
  if (source.kind === "files") {
    const { files } = source;
    if (files.has("tokenizer.json") || files.has("tokenizer.model")) return metadataOfFiles(files, vocab, name);
  } else if ("tokenizer.ggml.model" in source.metadata) {
    return Object.entries(source.metadata).map(([key, value]) => typed(key, value));
  }
  return [["tokenizer.ggml.model", "string", "none"]];
}

function typed(key: string, value: unknown): MetadataEntry {
  const known = TYPES.find(([pattern]) => pattern.test(key))?.[1];
  const type = known ?? (typeof value === "string" ? "string" : typeof value === "boolean" ? "bool" : undefined);
  if (!type) return [key, Number.isInteger(value) ? "u32" : "f32", Number(value)];
  return [key, type, value as MetadataEntry[2]];
}
