// What GGUF's metadata has of a tokenizer: entries with their types, and the tokens that have a part to play. (ggml, docs/gguf.md)

/** GGUF's types of vocabulary entries; SentencePiece has the same numbers. */
export const TOKEN_TYPES = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

const FILLERS: readonly number[] = [TOKEN_TYPES.normal, TOKEN_TYPES.userDefined];

/** Tokens that end a text or a turn in checkpoints that name another one, or one of several, as the end. (llama.cpp, src/llama-vocab.cpp) */
const ENDS = ["<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<|eom_id|>", "<|im_end|>"];

/** SentencePiece's usual ids, where a file names none. */
const SENTENCEPIECE_IDS: Readonly<Record<string, number>> = { unknown: 0, bos: 1, eos: 2 };

export interface TokenizerFields {
  /** @throws Error that names the file and the key that is missing */
  need<T>(key: string): T;
  find<T>(key: string): T | undefined;
  /** An error that names the file. */
  fail(problem: string): Error;
  readonly tokens: readonly string[];
  /** @throws Error when the file has no types */
  readonly types: readonly number[];
  /** A token by its part, as `bos`, `eos`, `unknown`, `padding`; undefined where none has it. */
  idOf(part: string): number | undefined;
  /** All that end a text, the one that the file calls eos first. */
  readonly endIds: readonly number[];
}

/**
 * @param file for messages
 * @param metadata GGUF's, by key
 */
export function tokenizerFields(file: string, metadata: object): TokenizerFields {
  const fail = (problem: string): Error => new Error(`${file}: ${problem}`);
  const find = <T>(key: string): T | undefined => (metadata as Record<string, unknown>)[key] as T | undefined;
  const need = <T>(key: string): T => {
    const value = find<T>(key);
    if (value === undefined) throw fail(`metadata ${key} is missing`);
    return value;
  };
  const tokens = find<string[]>("tokenizer.ggml.tokens") ?? [];
  const idOf = (part: string): number | undefined => {
    const usual = find("tokenizer.ggml.model") === "llama" ? SENTENCEPIECE_IDS[part] : undefined;
    const id = find<number>(`tokenizer.ggml.${part}_token_id`) ?? usual;
    return id !== undefined && id < tokens.length ? id : undefined;
  };
  return {
    need,
    find,
    fail,
    tokens,
    idOf,
    get types() {
      // A row that fills the vocabulary up is called so by what converts checkpoints, with whatever type.
      return need<number[]>("tokenizer.ggml.token_type").map((type, id) =>
        FILLERS.includes(type) && tokens[id] === `[PAD${id}]` ? TOKEN_TYPES.unused : type,
      );
    },
    get endIds() {
      const parts = ["eos", "eot", "eom"].map(idOf);
      const ids = [parts[0], ...(find<number[]>("tokenizer.ggml.eos_token_ids") ?? []), ...parts.slice(1)];
      const named = ENDS.map((token) => tokens.indexOf(token));
      const isToken = (id: number | undefined): id is number => id !== undefined && id >= 0 && id < tokens.length;
      return [...new Set([...ids, ...named])].filter(isToken);
    },
  };
}
