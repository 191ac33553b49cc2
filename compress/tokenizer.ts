// A checkpoint's own tokenizer, for the texts that methods are calibrated on.
import { Tokenizer } from "@huggingface/tokenizers";
import { buildTokenizer } from "../scripts/build/tokenizer.ts";
import { RunTooLongError } from "../src/tokenizer/index.ts";
import { segments } from "../src/tokenizer/segments.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { UserError } from "./error.ts";

export interface TextEncoding {
  /**
   * Token ids; no special tokens are added.
   * @throws UserError for a text that has no white space in thousands of characters
   */
  encode(text: string): Promise<number[]>;
}

/** @throws UserError when the checkpoint has no tokenizer, or one of a kind that is not read */
export function openTokenizer({ name, tokenizer }: Checkpoint): TextEncoding {
  const encoder = tokenizer.kind === "gguf" ? fromGguf(name, tokenizer.metadata) : fromFiles(name, tokenizer.files);
  return {
    async encode(text) {
      const ids: number[] = [];
      try {
        for (const segment of segments(text)) {
          for (const id of encoder.encode(segment, { add_special_tokens: false }).ids) ids.push(id);
        }
      } catch (error) {
        if (error instanceof RunTooLongError) throw new UserError(`the text can't be encoded: ${error.message}`);
        throw error;
      }
      return ids;
    },
  };
}

function fromGguf(name: string, metadata: Readonly<Record<string, unknown>>): Tokenizer {
  try {
    const built = buildTokenizer({ manifest: { file: name }, metadata });
    return new Tokenizer(built.tokenizer, built.config);
  } catch (error) {
    throw new UserError((error as Error).message);
  }
}

function fromFiles(name: string, files: ReadonlyMap<string, Uint8Array>): Tokenizer {
  const json = (file: string): object => {
    const bytes = files.get(file);
    if (!bytes) throw new UserError(`${name} has no ${file}, which its texts are encoded with`);
    try {
      return JSON.parse(new TextDecoder().decode(bytes));
    } catch (error) {
      throw new UserError(`${name}: ${file} is not JSON (${(error as Error).message})`);
    }
  };
  return new Tokenizer(json("tokenizer.json"), files.has("tokenizer_config.json") ? json("tokenizer_config.json") : {});
}
