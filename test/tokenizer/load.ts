// The built tokenizer of the default base model, as data.
import tokenizers from "../../dist/tokenizers.json";
import type { TokenizerJson } from "../../src/tokenizer/index.ts";

export const tokenizerJson: TokenizerJson = tokenizers["smollm2-135m-instruct"];
