// Prompts of an exact number of tokens, as ids and as text, cut from the benchmark's own text.
import { readFile } from "node:fs/promises";
import { tokenizersFile } from "../build/paths.ts";
import { createTokenizer, type TokenizerJson } from "../src/tokenizer/index.ts";
import type { Prompt } from "./subject.ts";
import { text } from "./text.ts";

/** Cuts a prompt of so many tokens; another index gives another part of the text. */
export type CutPrompt = (tokens: number, index?: number) => Promise<Prompt>;

/** Tokens between the starts of two prompts of the same length. */
const STRIDE = 37;

export async function createPrompts(baseId: string): Promise<CutPrompt> {
  const files: Record<string, TokenizerJson> = JSON.parse(await readFile(tokenizersFile, "utf8"));
  const file = files[baseId];
  if (!file) throw new Error(`dist/tokenizers.json has no ${baseId}: npm run build`);
  const tokenizer = createTokenizer(file);
  const { ids: once } = await tokenizer.encode(text);
  return async (tokens, index = 0) => {
    const wanted = tokens + (index + 2) * STRIDE;
    const { ids } = await tokenizer.encode(text.repeat(Math.ceil(wanted / once.length)));
    // A cut inside a word or before a run of line ends can read back as other tokens: then the next start is tried.
    for (let start = index * STRIDE; start < (index + 1) * STRIDE; start++) {
      const cut = ids.slice(start, start + tokens);
      const prompt = tokenizer.decode(cut);
      const { ids: read } = await tokenizer.encode(prompt);
      if (read.length === tokens && read.every((id, i) => id === cut[i])) return { ids: cut, text: prompt };
    }
    throw new Error(`no cut of ${tokens} tokens reads back as itself`);
  };
}
