// A Hugging Face folder's tokenizer as GGUF's metadata. (llama.cpp, convert_hf_to_gguf.py, `get_vocab_base`)
import { z } from "zod";
import { UserError } from "../error.ts";
import type { MetadataEntry } from "../gguf/writer.ts";
import type { SpecialTokens } from "./convert.ts";
import { TOKEN_TYPES } from "./gguf-fields.ts";
import { readSentencePieceModel } from "./sentencepiece-model.ts";
import { type TokenizerJson, tokenizerSchema, vocabularyOf } from "./tokenizer-json.ts";

type FilesByName = ReadonlyMap<string, Uint8Array>;

/** A vocabulary as GGUF has it, before it is as long as the embedding. */
export interface Vocabulary {
  readonly model: "gpt2" | "llama";
  /** By id; an id that is left out is unused. */
  readonly tokens: ReadonlyMap<number, { readonly text: string; readonly type: number }>;
  /** Whether the files say that texts begin with this token. */
  startsWith(bos: string | undefined): boolean;
  /** Metadata of this kind alone. */
  readonly entries: (size: number) => readonly MetadataEntry[];
}

const token = z.union([z.string(), z.object({ content: z.string() })]).nullish();
const configSchema = z.object({
  bos_token: token,
  eos_token: token,
  unk_token: token,
  pad_token: token,
  chat_template: z.union([z.string(), z.array(z.object({ name: z.string(), template: z.string() }))]).nullish(),
  add_bos_token: z.boolean().nullish(),
  tokenizer_class: z.string().nullish(),
  added_tokens_decoder: z
    .record(z.string(), z.object({ content: z.string(), special: z.boolean().nullish() }))
    .nullish(),
});
type Config = z.infer<typeof configSchema>;
const idsSchema = z.object({
  bos_token_id: z.int().nullish(),
  eos_token_id: z.union([z.int(), z.array(z.int())]).nullish(),
  pad_token_id: z.int().nullish(),
});

const text = (files: FilesByName, name: string): string | undefined => {
  const bytes = files.get(name);
  return bytes && Buffer.from(bytes).toString("utf8");
};

function parse<T>(files: FilesByName, name: string, schema: z.ZodType<T>, where: string): T | undefined {
  const source = text(files, name);
  if (source === undefined) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(source);
  } catch (error) {
    throw new UserError(`${where}/${name} is not JSON: ${(error as Error).message}`);
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw new UserError(`${where}/${name} is not as expected:\n${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

/** What generation_config.json says, else config.json. */
export function specialsOfFiles(files: FilesByName): SpecialTokens {
  const ids = {
    ...parse(files, "config.json", idsSchema, "the checkpoint"),
    ...parse(files, "generation_config.json", idsSchema, "the checkpoint"),
  };
  const eos = ids.eos_token_id ?? [];
  return {
    bos: ids.bos_token_id ?? undefined,
    eos: typeof eos === "number" ? [eos] : eos,
    pad: ids.pad_token_id ?? undefined,
  };
}

/**
 * From tokenizer.json, or where there is none from SentencePiece's tokenizer.model.
 * @throws UserError naming the file and what of it GGUF has no word for
 */
export function metadataOfFiles(files: FilesByName, size: number, name: string): MetadataEntry[] {
  const json = parse<TokenizerJson>(files, "tokenizer.json", tokenizerSchema, name);
  const model = files.get("tokenizer.model");
  if (!json && !model) throw new UserError(`${name} has neither tokenizer.json nor tokenizer.model`);
  const config: Config = parse(files, "tokenizer_config.json", configSchema, name) ?? {};
  const vocabulary = json
    ? vocabularyOf(json, name)
    : withAdded(readSentencePieceModel(model as Uint8Array, name), config);
  const tokens = Array.from({ length: size }, (_, id) => `[PAD${id}]`);
  const types = new Array<number>(size).fill(TOKEN_TYPES.unused);
  for (const [id, { text, type }] of vocabulary.tokens) {
    if (id >= size) throw new UserError(`${name}: token ${id} of its tokenizer is beyond the embedding's ${size} rows`);
    tokens[id] = text;
    types[id] = type;
  }
  const contentOf = (value: z.infer<typeof token>): string | undefined =>
    typeof value === "string" ? value : value?.content;
  const idOf = (value: z.infer<typeof token>): number | undefined => {
    const content = contentOf(value);
    const id = content === undefined ? -1 : tokens.indexOf(content);
    return id < 0 ? undefined : id;
  };
  const specials = specialsOfFiles(files);
  const eos = idOf(config.eos_token) ?? specials.eos[0];
  const ends = [...new Set([eos, ...specials.eos])].filter((id) => id !== undefined) as number[];
  const bos = idOf(config.bos_token) ?? specials.bos;
  const ids: [string, number | undefined][] = [
    ["bos", bos],
    ["eos", eos],
    ["unknown", idOf(config.unk_token)],
    ["padding", idOf(config.pad_token) ?? specials.pad],
  ];
  const template = text(files, "chat_template.jinja") ?? templateOf(config);
  return [
    ["tokenizer.ggml.model", "string", vocabulary.model],
    ["tokenizer.ggml.tokens", "string[]", tokens],
    ["tokenizer.ggml.token_type", "i32[]", types],
    ...vocabulary.entries(size),
    ...ids.flatMap(([kind, id]): MetadataEntry[] =>
      id === undefined ? [] : [[`tokenizer.ggml.${kind}_token_id`, "u32", id]],
    ),
    ...(ends.length > 1 ? ([["tokenizer.ggml.eos_token_ids", "u32[]", ends]] satisfies MetadataEntry[]) : []),
    ...(template ? ([["tokenizer.chat_template", "string", template]] satisfies MetadataEntry[]) : []),
    ["tokenizer.ggml.add_bos_token", "bool", addsBos(config, vocabulary, tokens[bos ?? -1])],
  ];
}

/** The tokens that were added to a tokenizer.model later are in the configuration alone. */
function withAdded(vocabulary: Vocabulary, { added_tokens_decoder }: Config): Vocabulary {
  const tokens = new Map(vocabulary.tokens);
  for (const [id, { content, special }] of Object.entries(added_tokens_decoder ?? {})) {
    if (tokens.has(Number(id))) continue;
    tokens.set(Number(id), { text: content, type: special ? TOKEN_TYPES.control : TOKEN_TYPES.userDefined });
  }
  return { ...vocabulary, tokens };
}

/** Of several templates the one that transformers takes where nobody chooses. */
function templateOf({ chat_template }: Config): string | undefined {
  if (typeof chat_template !== "object") return chat_template;
  return chat_template?.find(({ name }) => name === "default")?.template;
}

/** Where the configuration does not say, tokenizer.json does; transformers' class for Llama 2 does it without being told. */
const addsBos = (config: Config, vocabulary: Vocabulary, bos: string | undefined): boolean =>
  bos !== undefined &&
  (config.add_bos_token ??
    (vocabulary.startsWith(bos) ||
      (vocabulary.model === "llama" && /^LlamaTokenizer/.test(config.tokenizer_class ?? ""))));
