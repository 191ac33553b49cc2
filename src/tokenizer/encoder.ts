// The library's tokenizer, for text alone and without what it needs no more.
import { Tokenizer as BpeTokenizer } from "@huggingface/tokenizers";
import type { ChatConfig } from "./chat.ts";
import type { TokenizerJson } from "./tokenizer.ts";

/**
 * The library's tokenizer without added tokens: which pieces of a text are special tokens is decided here, not by what the text spells. It
 * keeps what it was made of, which takes more memory than what it encodes with: that is let go.
 */
export function createEncoder(
  { model, ...steps }: TokenizerJson["tokenizer"],
  config: ChatConfig,
  specials: ReadonlyMap<string, number>,
): BpeTokenizer {
  const vocab = Object.fromEntries(Object.entries(model.vocab).filter(([token]) => !specials.has(token)));
  const encoder = new BpeTokenizer(
    { ...steps, model: { ...model, vocab }, added_tokens: [], post_processor: null },
    config,
  );
  Object.assign(encoder, { tokenizer: undefined });
  Object.assign(encoder.model ?? {}, { merges: undefined, config: undefined });
  return encoder;
}
