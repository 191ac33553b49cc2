// SentencePiece's BPE with byte fallback (Llama 2, TinyLlama) in Hugging Face's form.
import { byteToken, SPACE } from "../../src/tokenizer/index.ts";
import { TOKEN_TYPES, type TokenizerFields } from "./gguf-fields.ts";
import type { TokenizerForm } from "./hugging-face-form.ts";
import { isPair } from "./merges.ts";

const { normal, unused, userDefined } = TOKEN_TYPES;

/**
 * Where a space that no text has is put before it. `prepend` does so after each special token too, whatever the text begins with, as
 * SentencePiece and llama.cpp do; the two others are Hugging Face's Metaspace, which leaves a text alone that begins with a space.
 */
const PREFIXES = ["prepend", "always", "first"] as const;
export type SpacePrefix = (typeof PREFIXES)[number] | "never";
/** GGUF has a word for whether, but not for where. */
export const PREFIX_KEY = "tokenizer.ggml.space_prefix_scheme";

/** @throws Error that names what of the tokenizer has no arithmetic here */
export function sentencePieceForm(fields: TokenizerFields): TokenizerForm {
  const { tokens, types, fail } = fields;
  if (
    fields.find("tokenizer.ggml.remove_extra_whitespaces") === true ||
    fields.find("tokenizer.ggml.precompiled_charsmap")
  ) {
    throw fail("its SentencePiece tokenizer rewrites text before it encodes it, which is not supported");
  }
  const known = new Map(tokens.map((token, id) => [token, id]));
  const lacking = Array.from({ length: 256 }, (_, byte) => byteToken(byte)).find((token) => !known.has(token));
  if (lacking !== undefined) {
    throw fail(`its SentencePiece tokenizer has no token ${lacking}: only those that fall back to bytes are supported`);
  }
  const given = fields.find<string[]>("tokenizer.ggml.merges");
  const scores = fields.find<number[]>("tokenizer.ggml.scores");
  if (!given && !scores) throw fail("metadata tokenizer.ggml.scores is missing");
  const merges = given ?? mergesOfScores(tokens, types, scores as number[]);
  // A text may spell a special token; no merge leads to one.
  const isText = (token: string): boolean => {
    const type = types[known.get(token) ?? -1];
    return type === normal || type === unused || type === userDefined;
  };
  const unknown = fields.idOf("unknown");
  return {
    ...prefixForm(prefixOf(fields)),
    model: {
      unk_token: unknown === undefined ? null : (tokens[unknown] as string),
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
    },
    merges: merges.filter((merge) => isPair(merge) && isText(merge.replace(" ", ""))),
    addsBos: true,
  };
}

function prefixOf(fields: TokenizerFields): SpacePrefix {
  if (fields.find("tokenizer.ggml.add_space_prefix") === false) return "never";
  const scheme = fields.find<string>(PREFIX_KEY) ?? "prepend";
  const known = PREFIXES.find((name) => name === scheme);
  if (!known) throw fields.fail(`metadata ${PREFIX_KEY} is ${scheme}; it must be ${PREFIXES.join(", ")}`);
  return known;
}

/** (transformers, convert_slow_tokenizer.py, LlamaConverter) */
function prefixForm(prefix: SpacePrefix): Pick<TokenizerForm, "normalizer" | "pre_tokenizer" | "decoder"> {
  const replace = { type: "Replace", pattern: { String: " " }, content: SPACE };
  const prepend = { type: "Prepend", prepend: SPACE };
  const metaspace = { type: "Metaspace", replacement: SPACE, prepend_scheme: prefix, split: false };
  const strip = { type: "Strip", content: " ", start: 1, stop: 0 };
  return {
    normalizer: prefix === "prepend" ? { type: "Sequence", normalizers: [prepend, replace] } : null,
    pre_tokenizer: prefix === "prepend" ? null : metaspace,
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: SPACE }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(prefix === "never" ? [] : [strip]),
      ],
    },
  };
}

/**
 * The merges that a vocabulary with scores stands for: each token by all pairs that make it, the highest score first and of one token's
 * pairs the one with the longest left side. (transformers, tokenization_utils_base.py, `generate_merges`)
 */
function mergesOfScores(tokens: readonly string[], types: readonly number[], scores: readonly number[]): string[] {
  const normals = new Set(tokens.filter((_, id) => types[id] === normal));
  const merges: { readonly merge: string; readonly score: number; readonly left: number; readonly right: number }[] =
    [];
  for (const [id, token] of tokens.entries()) {
    if (types[id] !== normal) continue;
    const characters = Array.from(token);
    for (let left = 1; left < characters.length; left++) {
      const [a, b] = [characters.slice(0, left).join(""), characters.slice(left).join("")];
      if (!normals.has(a) || !normals.has(b)) continue;
      merges.push({ merge: `${a} ${b}`, score: scores[id] as number, left, right: characters.length - left });
    }
  }
  return merges.sort((a, b) => b.score - a.score || b.left - a.left || b.right - a.right).map(({ merge }) => merge);
}
