// Hugging Face's tokenizer.json as a vocabulary of GGUF's: what it does before and after its merges, by the names that GGUF has.
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { SPACE } from "../../src/tokenizer/index.ts";
import { UserError } from "../error.ts";
import type { MetadataEntry } from "../gguf/writer.ts";
import { preNames, preOf } from "./byte-level.ts";
import type { Vocabulary } from "./files.ts";
import { TOKEN_TYPES } from "./gguf-fields.ts";
import { isPair } from "./merges.ts";
import { PREFIX_KEY, type SpacePrefix } from "./sentencepiece.ts";

const flag = z.boolean().nullish();
export const tokenizerSchema = z.object({
  added_tokens: z
    .array(
      z.object({
        id: z.int(),
        content: z.string(),
        special: z.boolean(),
        single_word: flag,
        lstrip: flag,
        rstrip: flag,
      }),
    )
    .default([]),
  normalizer: z.unknown(),
  pre_tokenizer: z.unknown(),
  post_processor: z.unknown(),
  model: z.object({
    type: z.literal("BPE"),
    byte_fallback: flag,
    ignore_merges: flag,
    unk_token: z.string().nullish(),
    vocab: z.record(z.string(), z.int()),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
  }),
});
export type TokenizerJson = z.infer<typeof tokenizerSchema>;

/** @throws UserError naming what of it GGUF has no word for */
export function vocabularyOf(tokenizer: TokenizerJson, name: string): Vocabulary {
  const { added_tokens, model } = tokenizer;
  const odd = added_tokens.find(({ single_word, lstrip, rstrip }) => single_word || lstrip || rstrip);
  if (odd) {
    throw new UserError(
      `${name}/tokenizer.json: token ${odd.content} takes in what is around it (single_word, lstrip or rstrip), which is not supported`,
    );
  }
  const isPieces = model.byte_fallback ?? false;
  const entries = isPieces ? pieceEntries(tokenizer, name) : byteLevelEntries(tokenizer, name);
  if (!entries) {
    throw new UserError(
      `${name}/tokenizer.json splits or rewrites text in a way that is not supported (only byte-level BPE as of ${preNames.join(", ")}, and SentencePiece's BPE as of Llama 2)`,
    );
  }
  const tokens = new Map<number, { readonly text: string; readonly type: number }>();
  for (const [text, id] of Object.entries(model.vocab)) {
    const isByte = isPieces && /^<0x[0-9A-F]{2}>$/.test(text);
    tokens.set(id, { text, type: isByte ? TOKEN_TYPES.byte : TOKEN_TYPES.normal });
  }
  for (const { id, content, special } of added_tokens) {
    const isUnknown = special && content === model.unk_token;
    const type = special ? TOKEN_TYPES.control : TOKEN_TYPES.userDefined;
    tokens.set(id, { text: content, type: isUnknown ? TOKEN_TYPES.unknown : type });
  }
  return {
    model: isPieces ? "llama" : "gpt2",
    tokens,
    startsWith: (bos) => bos !== undefined && startsWith(tokenizer.post_processor, bos),
    entries,
  };
}

/** As GGUF has them. @throws UserError naming a merge in one string that is not of two tokens, which transformers refuses, too */
function mergesOf({ model }: TokenizerJson, name: string): string[] {
  const odd = model.merges.find((merge) => typeof merge === "string" && !isPair(merge));
  if (odd !== undefined)
    throw new UserError(`${name}/tokenizer.json: the merge ${JSON.stringify(odd)} is not of two tokens`);
  return model.merges.map((merge) => (typeof merge === "string" ? merge : merge.join(" "))).filter(isPair);
}

function byteLevelEntries(tokenizer: TokenizerJson, name: string): Vocabulary["entries"] | undefined {
  const pre = preOf(tokenizer.pre_tokenizer, tokenizer.model.ignore_merges ?? false);
  if (!pre || tokenizer.normalizer != null) return undefined;
  const merges = mergesOf(tokenizer, name);
  return () => [
    ["tokenizer.ggml.pre", "string", pre],
    ["tokenizer.ggml.merges", "string[]", merges],
  ];
}

/** The merges go along: scores, by which llama.cpp merges, cannot tell apart two merges that make one token. */
function pieceEntries(tokenizer: TokenizerJson, name: string): Vocabulary["entries"] | undefined {
  const prefix = prefixOf(tokenizer);
  if (!prefix) return undefined;
  const merges = mergesOf(tokenizer, name);
  const { vocab } = tokenizer.model;
  return (size) => {
    // A token's score falls with the rank of the first merge that makes it, as SentencePiece's trainer counts.
    const scores = new Array<number>(size).fill(-merges.length);
    for (const [rank, merge] of [...merges.entries()].reverse()) scores[vocab[merge.replace(" ", "")] ?? size] = -rank;
    return [
      ["tokenizer.ggml.pre", "string", "default"],
      ["tokenizer.ggml.scores", "f32[]", scores.slice(0, size)],
      ["tokenizer.ggml.merges", "string[]", merges],
      ...spacePrefix(prefix),
    ];
  };
}

/** How GGUF says where a space is put before a text. */
const spacePrefix = (prefix: SpacePrefix): MetadataEntry[] => [
  ["tokenizer.ggml.add_space_prefix", "bool", prefix !== "never"],
  ...(prefix === "always" || prefix === "first" ? [[PREFIX_KEY, "string", prefix] satisfies MetadataEntry] : []),
];

const metaspaceSchema = z.object({
  type: z.literal("Metaspace"),
  replacement: z.literal(SPACE),
  prepend_scheme: z.enum(["always", "first", "never"]),
  split: z.literal(false),
});

function prefixOf({ normalizer, pre_tokenizer }: TokenizerJson): SpacePrefix | undefined {
  const replace = { type: "Replace", pattern: { String: " " }, content: SPACE };
  const prepend = { type: "Prepend", prepend: SPACE };
  const isOf = (...normalizers: object[]) =>
    pre_tokenizer == null &&
    [{ type: "Sequence", normalizers }, ...(normalizers.length === 1 ? normalizers : [])].some((form) =>
      isDeepStrictEqual(normalizer, form),
    );
  if (isOf(prepend, replace)) return "prepend";
  if (isOf(replace)) return "never";
  return normalizer == null ? metaspaceSchema.safeParse(pre_tokenizer).data?.prepend_scheme : undefined;
}

const templateSchema = z.object({
  type: z.literal("TemplateProcessing"),
  single: z.tuple([z.object({ SpecialToken: z.object({ id: z.string() }) })], z.unknown()),
});

/** Whether a post-processor puts this token before a text. */
function startsWith(processor: unknown, token: string): boolean {
  const inner = z.object({ type: z.literal("Sequence"), processors: z.array(z.unknown()) }).safeParse(processor).data;
  if (inner) return inner.processors.some((one) => startsWith(one, token));
  return templateSchema.safeParse(processor).data?.single[0].SpecialToken.id === token;
}
