// What tasks need of text, made of a base model's tokenizer.
import type { Tokenizer } from "../src/tokenizer/index.ts";
import type { ModelConfig } from "../src/variants/index.ts";
import type { TaskTools } from "./task.ts";

export function createTaskTools(tokenizer: Tokenizer, config: ModelConfig): TaskTools {
  const found = new Map<string, readonly number[]>();
  return {
    encode: async (text) => (await tokenizer.encode(text, { addStart: false })).ids,
    encodeChat: async (user) => (await tokenizer.encodeChat([{ role: "user", content: user }])).ids,
    decode(ids) {
      const decoding = tokenizer.createDecoding();
      return ids.map((id) => decoding.push(id)).join("") + decoding.end();
    },
    startIds: tokenizer.startIds,
    prefixId: config.bosTokenId,
    endIds: config.eosTokenIds,
    idsWith(strings) {
      const key = JSON.stringify(strings);
      const ids = found.get(key) ?? idsWith(tokenizer, config.vocab, strings);
      found.set(key, ids);
      return ids;
    },
  };
}

function idsWith(tokenizer: Tokenizer, vocab: number, strings: readonly string[]): number[] {
  const ids: number[] = [];
  for (let id = 0; id < vocab; id++) {
    const text = tokenizer.decode([id]);
    if (strings.some((string) => text.includes(string))) ids.push(id);
  }
  return ids;
}
