// Byte-level BPE (GPT-2's kind) in Hugging Face's form. The patterns that split text are those of the tokenizer.json that the checkpoints
// were published with; GGUF knows each by a name. (llama.cpp, src/llama-vocab.cpp)
import { isDeepStrictEqual } from "node:util";
import type { TokenizerFields } from "./gguf-fields.ts";
import type { TokenizerForm } from "./hugging-face-form.ts";
import { isPair } from "./merges.ts";

interface PreTokenizer {
  /** Hugging Face's pre-tokenizers, one after the other. */
  readonly steps: readonly object[];
  /** A word that is a token becomes it, whatever the merges lead to. Default: false. */
  readonly ignoreMerges?: true;
  /** Texts begin with the bos token where the file does not say. Default: false. */
  readonly addsBos?: true;
  /** Other names of the same. */
  readonly alias?: readonly string[];
}

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const WORDS = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
const SIGNS = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*";
const SPACES = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const GPT2 = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
const split = (pattern: string): readonly object[] => [
  { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
  { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
];

/** By `tokenizer.ggml.pre`. */
const PRE_TOKENIZERS: Readonly<Record<string, PreTokenizer>> = {
  smollm: {
    steps: [{ type: "Digits", individual_digits: true }, GPT2],
    alias: ["starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"],
  },
  "llama-bpe": {
    steps: split(`${CONTRACTIONS}|${WORDS}|\\p{N}{1,3}|${SIGNS}|${SPACES}`),
    ignoreMerges: true,
    addsBos: true,
    alias: ["llama3", "llama-v3", "falcon3"],
  },
  "smaug-bpe": { steps: split(`${CONTRACTIONS}|${WORDS}|\\p{N}{1,3}|${SIGNS}|${SPACES}`) },
  qwen2: { steps: split(`${CONTRACTIONS}|${WORDS}|\\p{N}|${SIGNS}|${SPACES}`), alias: ["stablelm2"] },
  "gpt-2": { steps: [GPT2], alias: ["olmo", "mpt"] },
};

/** GGUF's names for the ways to split text that are supported. */
export const preNames: readonly string[] = Object.keys(PRE_TOKENIZERS);

function find(name: string): PreTokenizer | undefined {
  const found = Object.entries(PRE_TOKENIZERS).find(([own, { alias = [] }]) => own === name || alias.includes(name));
  return found?.[1];
}

/** GGUF's name for what a tokenizer.json has under `pre_tokenizer`; undefined where it has none here. */
export function preOf(preTokenizer: unknown, ignoresMerges: boolean): string | undefined {
  const steps = stepsOf(preTokenizer);
  return preNames.find((name) => {
    const { steps: own, ignoreMerges = false } = PRE_TOKENIZERS[name] as PreTokenizer;
    return ignoreMerges === ignoresMerges && isDeepStrictEqual(steps, own.map(bare));
  });
}

function stepsOf(preTokenizer: unknown): unknown[] {
  if (typeof preTokenizer !== "object" || preTokenizer === null) return [];
  const { type, pretokenizers } = preTokenizer as { type?: unknown; pretokenizers?: unknown };
  return type === "Sequence" && Array.isArray(pretokenizers) ? pretokenizers.map(bare) : [bare(preTokenizer)];
}

/** Without what only offsets depend on. */
const bare = (step: object): object => ({ use_regex: undefined, ...step, trim_offsets: undefined });

/** @throws Error when the file splits text in a way that has no pattern here */
export function byteLevelForm(fields: TokenizerFields): TokenizerForm {
  const pre = fields.find<string>("tokenizer.ggml.pre");
  const preTokenizer = pre === undefined ? undefined : find(pre);
  if (!preTokenizer) {
    throw fields.fail(
      `tokenizer gpt2/${pre ?? "(no tokenizer.ggml.pre)"} is not supported: of byte-level BPE, ${preNames.join(", ")} are`,
    );
  }
  const { steps, ignoreMerges = false, addsBos = false } = preTokenizer;
  return {
    normalizer: null,
    pre_tokenizer: { type: "Sequence", pretokenizers: steps },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { unk_token: null, fuse_unk: false, byte_fallback: false, ignore_merges: ignoreMerges },
    merges: fields.need<string[]>("tokenizer.ggml.merges").filter(isPair),
    addsBos,
  };
}
