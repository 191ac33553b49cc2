// Checkpoints of Llama 2's and Llama 3's kinds, small enough for a test: random weights, and small tokenizers of theirs.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { root } from "../../build/paths.ts";
import type { Checkpoint } from "../../formats/checkpoint.ts";
import chats from "../fixtures/tokenizers/chats.json" with { type: "json" };
import llamaBpe from "../fixtures/tokenizers/llama-bpe.json" with { type: "json" };
import sentencePiece from "../fixtures/tokenizers/sentencepiece.json" with { type: "json" };
import { tinyCheckpoint } from "./tiny.ts";

type Files = Record<string, object | Uint8Array>;
const { prepend } = sentencePiece.files;
/** A tokenizer.json; the others have the vocabulary of `prepend`. */
const pieces = (form: keyof typeof sentencePiece.files): object => ({
  ...sentencePiece.files[form],
  model: { ...sentencePiece.files[form].model, vocab: prepend.model.vocab, merges: prepend.model.merges },
});
const llama2 = { tokenizer_class: "LlamaTokenizer", bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>" };
const model = await readFile(join(root, "test/fixtures/tokenizers/sentencepiece.model"));

/** Files of a Hugging Face folder, with what the reference makes of texts under that tokenizer. */
export const LLAMAS: Readonly<
  Record<string, { readonly vocab: number; readonly files: Files; readonly vectors: typeof llamaBpe.vectors }>
> = {
  tinyllama: {
    vocab: 900,
    files: {
      "tokenizer.json": pieces("prepend"),
      "tokenizer_config.json": { ...llama2, add_bos_token: true, chat_template: chats.templates.zephyr },
      "generation_config.json": { bos_token_id: 1, eos_token_id: 2 },
    },
    vectors: sentencePiece.vectors.prepend,
  },
  "tinyllama-model": {
    vocab: 912,
    files: { "tokenizer.model": model, "tokenizer_config.json": llama2 },
    vectors: sentencePiece.vectors.prepend,
  },
  metaspace: {
    vocab: 900,
    files: { "tokenizer.json": pieces("metaspace-first"), "tokenizer_config.json": llama2 },
    vectors: sentencePiece.vectors["metaspace-first"],
  },
  "no-space": {
    vocab: 900,
    files: { "tokenizer.json": pieces("metaspace-never"), "tokenizer_config.json": llama2 },
    vectors: sentencePiece.vectors["metaspace-never"],
  },
  "llama-3": {
    vocab: 912,
    files: {
      "tokenizer.json": llamaBpe.file,
      "tokenizer_config.json": {
        tokenizer_class: "PreTrainedTokenizerFast",
        bos_token: { content: "<|begin_of_text|>" },
        eos_token: "<|end_of_text|>",
        chat_template: [{ name: "default", template: chats.templates["llama-3"] }],
      },
      "generation_config.json": { bos_token_id: 900, eos_token_id: [901, 904, 905] },
    },
    vectors: llamaBpe.vectors,
  },
};

/** @param name one of `LLAMAS` */
export function llamaCheckpoint(name: keyof typeof LLAMAS, change: Files = {}): Checkpoint {
  const { vocab, files } = LLAMAS[name]!;
  const layers = new Array(2).fill({ heads: 4, kvHeads: 2, ffn: 96 });
  const shape = { hidden: 64, headDim: 16, vocab, contextLength: 256, ropeTheta: 10_000, layers };
  return {
    ...tinyCheckpoint({ shape: { ...shape, ropeScaling: undefined, rmsEps: 1e-5 }, untied: true }),
    tokenizer: {
      kind: "files",
      files: new Map(
        Object.entries({ ...files, ...change }).map(([file, content]) => [
          file,
          content instanceof Uint8Array ? content : Buffer.from(JSON.stringify(content)),
        ]),
      ),
    },
  };
}
