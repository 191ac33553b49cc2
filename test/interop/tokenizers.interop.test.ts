// Tokenizers of Llama's kinds in exports: unmodified llama.cpp and transformers make the tokens of texts with them that are served here.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ggufOutput } from "../../compress/export/gguf.ts";
import { huggingFaceOutput } from "../../compress/export/hf.ts";
import { openCheckpoint } from "../../compress/open.ts";
import { putOutput } from "../../compress/output.ts";
import { stackOf } from "../../compress/stack.ts";
import { LLAMAS, llamaCheckpoint } from "../compress/llamas.ts";
import { recipeOf } from "../compress/recipe.ts";
import { askLlamaTokens, askTransformers, findLlama, findPython } from "./exports/peers.ts";

const { python, has } = await findPython();
const llama = findLlama();
const recipe = recipeOf([{}, {}]);
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "franken-tokenizers-"));
});
afterAll(() => rm(folder, { recursive: true }));

// What Hugging Face's Metaspace does, GGUF has no word for.
describe.each(["tinyllama", "tinyllama-model", "no-space", "llama-3"])("%s", (name) => {
  const vectors = (LLAMAS[name]?.vectors ?? []).filter(({ text }) => text !== "" && !text.startsWith("<s>"));
  const texts = vectors.map(({ text }) => text);
  const ids = vectors.map(({ ids }) => ids);

  it.skipIf(!llama)("llama.cpp", async () => {
    const file = join(folder, `${name}.gguf`);
    await putOutput(file, ggufOutput(await stackOf(recipe, llamaCheckpoint(name)), "f32"));
    const tokens = await askLlamaTokens(llama as string, file, texts);
    for (const [i, own] of tokens.entries()) expect(own, JSON.stringify(texts[i])).toEqual(ids[i]?.slice(1));
  });

  it.skipIf(!has("transformers"))("transformers", async () => {
    const file = join(folder, `${name}-of.gguf`);
    await putOutput(file, ggufOutput(await stackOf(recipe, llamaCheckpoint(name)), "f32"));
    const checkpoint = await openCheckpoint(file);
    const hf = join(folder, `${name}-hf`);
    await putOutput(hf, huggingFaceOutput(await stackOf(recipe, checkpoint), "f32"));
    await checkpoint.close();
    const { tokens } = await askTransformers(python, hf, { prompts: [], count: 0, texts: ["Hello", ...texts] });
    for (const [i, own] of tokens.slice(1).entries()) expect(own, JSON.stringify(texts[i])).toEqual(ids[i]);
  });
});
