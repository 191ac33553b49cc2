// A checkpoint's own tokenizer, for the texts that methods are calibrated on.
import { Tokenizer } from "@huggingface/tokenizers";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { UserError } from "../formats/error.ts";
import { ggufTokenizer } from "../formats/tokenizer/convert.ts";
import { buildTokenizer } from "../formats/tokenizer/hugging-face-form.ts";
import { createTokenizer, RunTooLongError, type TokenizerJson } from "../src/tokenizer/index.ts";

export interface TextEncoding {
  /** What the model was trained to have before every text: its bos token or nothing. */
  readonly startIds: readonly number[];
  /**
   * Token ids of a text, without `startIds`.
   * @param limit stops soon after this many, where it can. Default: none
   * @throws UserError for a text that has thousands of characters without a place where a token must end, such as white space
   */
  encode(text: string, limit?: number): Promise<number[]>;
}

/** @throws UserError when the checkpoint has no tokenizer, or one of a kind that is not read */
export function openTokenizer(checkpoint: Checkpoint): TextEncoding {
  try {
    return known(checkpoint);
  } catch (error) {
    const other =
      checkpoint.tokenizer.kind === "files" ? published(checkpoint.name, checkpoint.tokenizer.files) : undefined;
    if (other) return other;
    throw new UserError((error as Error).message);
  }
}

/** A tokenizer of a kind that is served. */
function known({ name, tokenizer, shape }: Checkpoint): TextEncoding {
  const metadata = Object.fromEntries(
    ggufTokenizer(tokenizer, shape.vocab, name).map(([key, , value]) => [key, value]),
  );
  const { encode, startIds } = createTokenizer(buildTokenizer({ manifest: { file: name }, metadata }) as TokenizerJson);
  return {
    startIds,
    async encode(text, limit = Number.POSITIVE_INFINITY) {
      try {
        return (await encode(text, { addStart: false, limit })).ids;
      } catch (error) {
        if (error instanceof RunTooLongError) throw new UserError(`the text can't be encoded: ${error.message}`);
        throw error;
      }
    },
  };
}

/** Of any other kind, a tokenizer.json as it is; undefined where there is none. */
function published(name: string, files: ReadonlyMap<string, Uint8Array>): TextEncoding | undefined {
  const json = (file: string): object | undefined => {
    const bytes = files.get(file);
    if (!bytes) return undefined;
    try {
      return JSON.parse(new TextDecoder().decode(bytes));
    } catch (error) {
      throw new UserError(`${name}: ${file} is not JSON (${(error as Error).message})`);
    }
  };
  const tokenizer = json("tokenizer.json");
  if (!tokenizer) return undefined;
  const encoder = new Tokenizer(tokenizer, json("tokenizer_config.json") ?? {});
  return { startIds: [], encode: async (text) => encoder.encode(text, { add_special_tokens: false }).ids };
}
