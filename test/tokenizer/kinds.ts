// Tokenizers of Llama's kinds, as the build writes them from GGUF's metadata.
import { buildTokenizer } from "../../formats/tokenizer/hugging-face-form.ts";
import type { TokenizerJson } from "../../src/tokenizer/index.ts";
import llamaBpe from "../fixtures/tokenizers/llama-bpe.json";
import sentencePiece from "../fixtures/tokenizers/sentencepiece.json";

const { tokens, scores, types } = sentencePiece.gguf;
/** Of a GGUF file: scores, and no merges. */
export const sentencePieceMetadata = {
  "tokenizer.ggml.model": "llama",
  "tokenizer.ggml.tokens": tokens,
  "tokenizer.ggml.scores": scores,
  "tokenizer.ggml.token_type": types,
  "tokenizer.ggml.bos_token_id": 1,
  "tokenizer.ggml.eos_token_id": 2,
};

const { added_tokens: added, model } = llamaBpe.file;
const specials = new Set(added.map(({ id }) => id));
const words = Object.entries({
  ...model.vocab,
  ...Object.fromEntries(added.map(({ content, id }) => [content, id])),
}).sort(([, a], [, b]) => a - b);
export const llamaBpeMetadata = {
  "tokenizer.ggml.model": "gpt2",
  "tokenizer.ggml.pre": "llama-bpe",
  "tokenizer.ggml.tokens": words.map(([word]) => word),
  "tokenizer.ggml.token_type": words.map(([, id]) => (specials.has(id) ? 3 : 1)),
  "tokenizer.ggml.merges": model.merges.map((merge) => merge.join(" ")),
  "tokenizer.ggml.bos_token_id": 900,
  "tokenizer.ggml.eos_token_id": 901,
};

/** A tokenizer as the gateway gets it, through JSON. */
export const built = (metadata: object): TokenizerJson =>
  JSON.parse(JSON.stringify(buildTokenizer({ manifest: { file: "x.gguf" }, metadata })));
