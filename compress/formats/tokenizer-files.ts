// A Hugging Face folder's tokenizer as GGUF's metadata. (llama.cpp, convert_hf_to_gguf.py, `get_vocab_base`)
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { PRE_TOKENIZERS } from "../../scripts/build/tokenizer.ts";
import { UserError } from "../error.ts";
import type { MetadataEntry } from "./gguf-writer.ts";
import type { SpecialTokens } from "./tokenizer.ts";

type FilesByName = ReadonlyMap<string, Uint8Array>;

/** GGUF's token types. */
const [NORMAL, CONTROL, USER_DEFINED, UNUSED] = [1, 3, 4, 5];

const tokenizerSchema = z.object({
  added_tokens: z.array(z.object({ id: z.int(), content: z.string(), special: z.boolean() })).default([]),
  pre_tokenizer: z.unknown(),
  model: z.object({
    type: z.literal("BPE"),
    byte_fallback: z.boolean().nullish(),
    vocab: z.record(z.string(), z.int()),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
  }),
});
const token = z.union([z.string(), z.object({ content: z.string() })]).nullish();
const configSchema = z.object({
  bos_token: token,
  eos_token: token,
  unk_token: token,
  pad_token: token,
  chat_template: z.string().nullish(),
  add_bos_token: z.boolean().nullish(),
});
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
  const ids =
    parse(files, "generation_config.json", idsSchema, "the checkpoint") ??
    parse(files, "config.json", idsSchema, "the checkpoint");
  const eos = ids?.eos_token_id ?? [];
  return {
    bos: ids?.bos_token_id ?? undefined,
    eos: typeof eos === "number" ? [eos] : eos,
    pad: ids?.pad_token_id ?? undefined,
  };
}

/** @throws UserError naming what of tokenizer.json GGUF has no word for */
export function metadataOfFiles(files: FilesByName, vocab: number, name: string): MetadataEntry[] {
  const tokenizer = parse(files, "tokenizer.json", tokenizerSchema, name);
  if (!tokenizer) throw new UserError(`${name}/tokenizer.json is missing`);
  const pre = preOf(tokenizer.pre_tokenizer);
  if (!pre || tokenizer.model.byte_fallback) {
    throw new UserError(
      `${name}/tokenizer.json splits text in a way that is not supported (only byte-level BPE as of ${Object.keys(PRE_TOKENIZERS)})`,
    );
  }
  const tokens = Array.from({ length: vocab }, (_, id) => `[PAD${id}]`);
  const types = new Array<number>(vocab).fill(UNUSED as number);
  const put = (content: string, id: number, type: number): void => {
    if (id >= vocab) throw new UserError(`${name}/tokenizer.json: token ${id} is beyond the embedding's ${vocab} rows`);
    tokens[id] = content;
    types[id] = type;
  };
  for (const [content, id] of Object.entries(tokenizer.model.vocab)) put(content, id, NORMAL as number);
  for (const { content, id, special } of tokenizer.added_tokens) {
    put(content, id, (special ? CONTROL : USER_DEFINED) as number);
  }
  const config = parse(files, "tokenizer_config.json", configSchema, name) ?? {};
  const idOf = (value: z.infer<typeof token>): number | undefined => {
    const content = typeof value === "string" ? value : value?.content;
    const id = content === undefined ? -1 : tokens.indexOf(content);
    return id < 0 ? undefined : id;
  };
  const specials = specialsOfFiles(files);
  const ids: [string, number | undefined][] = [
    ["bos", idOf(config.bos_token) ?? specials.bos],
    ["eos", idOf(config.eos_token) ?? specials.eos[0]],
    ["unknown", idOf(config.unk_token)],
    ["padding", idOf(config.pad_token) ?? specials.pad],
  ];
  const template = config.chat_template ?? text(files, "chat_template.jinja");
  const merges = tokenizer.model.merges.map((merge) => (typeof merge === "string" ? merge : merge.join(" ")));
  return [
    ["tokenizer.ggml.model", "string", "gpt2"],
    ["tokenizer.ggml.pre", "string", pre],
    ["tokenizer.ggml.tokens", "string[]", tokens],
    ["tokenizer.ggml.token_type", "i32[]", types],
    ["tokenizer.ggml.merges", "string[]", merges],
    ...ids.flatMap(([kind, id]): MetadataEntry[] =>
      id === undefined ? [] : [[`tokenizer.ggml.${kind}_token_id`, "u32", id]],
    ),
    ...(template ? ([["tokenizer.chat_template", "string", template]] satisfies MetadataEntry[]) : []),
    ["tokenizer.ggml.add_bos_token", "bool", config.add_bos_token ?? false],
  ];
}

/** GGUF's name for a way to split text. */
function preOf(preTokenizer: unknown): string | undefined {
  return Object.keys(PRE_TOKENIZERS).find((name) =>
    isDeepStrictEqual(preTokenizer, { type: "Sequence", pretokenizers: PRE_TOKENIZERS[name] }),
  );
}
