// Tokenizers of Llama's kinds from a Hugging Face folder and from GGUF, through what is imported, to the tokens that are served.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { readCheckpoint } from "../../build/checkpoint.ts";
import { openOutput } from "../../build/output.ts";
import { buildBase } from "../../build/weight-set.ts";
import { readCalibration } from "../../compress/calibration.ts";
import { ggufOutput } from "../../compress/export/gguf.ts";
import { huggingFaceOutput } from "../../compress/export/hf.ts";
import { importCheckpoint } from "../../compress/import/checkpoint.ts";
import { importSource } from "../../compress/import/index.ts";
import { openCheckpoint } from "../../compress/open.ts";
import { putOutput } from "../../compress/output.ts";
import { stackOf } from "../../compress/stack.ts";
import { ggufTokenizer } from "../../formats/tokenizer/convert.ts";
import { buildTokenizer, tokenBytes } from "../../formats/tokenizer/hugging-face-form.ts";
import { createTokenizer, type TokenizerJson } from "../../src/tokenizer/index.ts";
import { LLAMAS, llamaCheckpoint } from "../compress/llamas.ts";
import { recipeOf } from "../compress/recipe.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "franken-tokenizers-"));
  vi.stubEnv("FRANKEN_ARTIFACTS", join(folder, "artifacts"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

async function served(id: string) {
  const output = await openOutput(join(folder, `weights-${id}`), "x");
  const checkpoint = await readCheckpoint(id);
  const { base, tokenizer } = await buildBase(checkpoint, output);
  await output.close();
  return { base, checkpoint, tokenizer: createTokenizer(JSON.parse(JSON.stringify(tokenizer)) as TokenizerJson) };
}

describe.each(Object.entries(LLAMAS))("%s", (name, { vectors, vocab }) => {
  it("is served with the tokens of the reference, from a Hugging Face folder, GGUF, or either of what these export", async () => {
    const stack = await stackOf(recipeOf([{}, {}]), llamaCheckpoint(name));
    const hf = join(folder, "made-hf");
    const gguf = join(folder, "made.gguf");
    await putOutput(hf, huggingFaceOutput(stack, "f32"));
    await putOutput(gguf, ggufOutput(stack, "f32"));
    const again = await openCheckpoint(gguf);
    await putOutput(join(folder, "again-hf"), huggingFaceOutput(await stackOf(recipeOf([{}, {}]), again), "f32"));
    await again.close();
    for (const [id, source] of Object.entries({ hf, gguf, again: join(folder, "again-hf") })) {
      await importSource(source, { id });
      const { base, tokenizer } = await served(id);
      for (const { text, ids } of vectors) {
        const doubled = ids[0] === ids[1] && ids[0] === tokenizer.bosId;
        expect((await tokenizer.encode(text)).ids, `${id} ${JSON.stringify(text)}`).toEqual(
          doubled ? ids.slice(1) : ids,
        );
      }
      expect(base.config.vocab).toBe(vocab);
      // Rows that fill the embedding up, as of the two with 912: none of them is drawn.
      const filled = { "tinyllama-model": 900, "llama-3": 906 }[name];
      expect(base.config.unused).toEqual(filled === undefined ? undefined : [[filled, 912]]);
      expect(base.config.bosTokenId).toBe(tokenizer.bosId);
      expect(base.config.eosTokenIds).toEqual(name === "llama-3" ? [901, 904, 905] : [2]);
      expect(tokenizer.config.chat_template === undefined).toBe(!/^(tinyllama|llama-3)$/.test(name));
    }
  });
});

describe("a grammar's tokens", () => {
  it("are text: no byte that a token spells, no placeholder, no special token", async () => {
    await importCheckpoint(llamaCheckpoint("tinyllama-model"), { id: "x" });
    const { checkpoint, tokenizer } = await served("x");
    const bytes = tokenBytes(checkpoint);
    expect(bytes.slice(0, 3)).toEqual([undefined, undefined, undefined]);
    expect(bytes.slice(900)).toEqual(new Array(12).fill(undefined));
    const seen = new Map<string, number>();
    for (const [id, own] of bytes.entries()) {
      if (!own) continue;
      expect(Buffer.from(own)).toEqual(Buffer.from(tokenizer.bytesOf(id)));
      expect(seen.get(String(own)), `${id}`).toBeUndefined();
      seen.set(String(own), id);
    }
    // Any byte can be said.
    for (let byte = 0; byte < 256; byte++) expect(seen.has(String([byte])), `${byte}`).toBe(true);
  });
});

it("tokens that were added to a tokenizer.model are in its configuration", async () => {
  const added = { 2: { content: "</s>", special: true }, 900: { content: "<|im_end|>", special: true } };
  const config = { ...LLAMAS["tinyllama-model"]!.files["tokenizer_config.json"], added_tokens_decoder: added };
  await importCheckpoint(llamaCheckpoint("tinyllama-model", { "tokenizer_config.json": config }), { id: "x" });
  const { base, tokenizer } = await served("x");
  expect((await tokenizer.encode("<|im_end|>")).ids).toEqual([1, 900]);
  expect(base.config.eosTokenIds).toEqual([2, 900]);
});

it("calibration sequences begin as texts do", async () => {
  const sequences = async (name: string) => {
    const { tokens } = await readCalibration(llamaCheckpoint(name), { sequences: 3, length: 40 });
    return Array.from({ length: 3 }, (_, i) => [...tokens.ids.subarray(i * 40, i * 40 + 40)]);
  };
  for (const row of await sequences("llama-3")) expect([row[0], row.indexOf(900, 1)]).toEqual([900, -1]);
  for (const row of await sequences("tinyllama")) expect([row[0], row.indexOf(1, 1)]).toEqual([1, -1]);
});

describe("a merge whose token holds a space", () => {
  it.each(["tinyllama", "llama-3"])("joins nothing of a text, and no pair that its words spell: %s", async (name) => {
    const { files, vectors } = LLAMAS[name]!;
    const own = files["tokenizer.json"] as { model: { vocab: Record<string, number>; merges: unknown[] } };
    // The first two words of the merge are tokens that no merge joins: "x q" would be one in 'x q z'.
    const { vocab, merges } = own.model;
    const joined = new Set(merges.map((merge) => (merge as string[]).join(" ")));
    const letters = [..."abcdefghijklmnopqrstuvwxyz"];
    const [a, b] = letters
      .flatMap((x) => letters.map((y) => [x, y] as const))
      .find(([x, y]) => !joined.has(`${x} ${y}`))!;
    const model = { ...own.model, vocab: { ...vocab }, merges: [[`${a} ${b}`, "z"], [a, `${b} z`], ...merges] };
    const checkpoint = llamaCheckpoint(name, { "tokenizer.json": { ...own, model } });
    await importCheckpoint(checkpoint, { id: "spaced" });
    const { tokenizer } = await served("spaced");
    for (const { text, ids } of vectors.filter(({ text }) => !text.startsWith("<"))) {
      expect((await tokenizer.encode(text)).ids, JSON.stringify(text)).toEqual(ids);
    }
    const { ids } = await tokenizer.encode(`${a}${b}`, { addStart: false });
    expect(ids.at(-1)).toBe(vocab[b]);
    const gguf = createTokenizer(
      JSON.parse(JSON.stringify(buildTokenizer({ manifest: { file: "x" }, metadata: ggufWith(name, `${a} ${b} z`) }))),
    );
    expect((await gguf.encode(`${a}${b}`, { addStart: false })).ids).toEqual(ids);
  });

  /** The metadata of a GGUF file that has such a merge first. */
  function ggufWith(name: string, merge: string): object {
    const { tokenizer, shape } = llamaCheckpoint(name);
    const metadata = Object.fromEntries(
      ggufTokenizer(tokenizer, shape.vocab, name).map(([key, , value]) => [key, value]),
    );
    return { ...metadata, "tokenizer.ggml.merges": [merge, ...(metadata["tokenizer.ggml.merges"] as string[])] };
  }
});

it("a chat template that does not parse fails at import", async () => {
  const config = {
    ...LLAMAS.tinyllama!.files["tokenizer_config.json"],
    chat_template: "{% for message in messages %}",
  };
  const checkpoint = llamaCheckpoint("tinyllama", { "tokenizer_config.json": config });
  await expect(importCheckpoint(checkpoint, { id: "odd" })).rejects.toThrow("its chat template does not parse");
});

describe("what is not supported is named, with what is", () => {
  const tokenizerJson = LLAMAS["llama-3"]!.files["tokenizer.json"] as { added_tokens: object[]; model: object };
  const wordLevel = { ...tokenizerJson, pre_tokenizer: { type: "Whitespace" } };
  const rewriting = { ...tokenizerJson, normalizer: { type: "NFKC" } };
  const [first] = tokenizerJson.added_tokens;
  const greedy = { ...tokenizerJson, added_tokens: [{ ...first, rstrip: true }] };
  it.each([
    [wordLevel, "only byte-level BPE as of smollm, llama-bpe"],
    [rewriting, "splits or rewrites text"],
    [greedy, "token <|begin_of_text|> takes in what is around it"],
    [
      { ...tokenizerJson, model: { ...tokenizerJson.model, merges: ["a b", "a b c"] } },
      'the merge "a b c" is not of two tokens',
    ],
    [{ ...tokenizerJson, model: { type: "WordPiece", vocab: {} } }, "is not as expected"],
  ])("tokenizer.json: %#", async (file, problem) => {
    const checkpoint = llamaCheckpoint("llama-3", { "tokenizer.json": file });
    await expect(importCheckpoint(checkpoint, { id: "odd" })).rejects.toThrow(problem);
  });

  it.each([
    [Buffer.from("not a protocol buffer"), "is damaged"],
    [Buffer.of(10, 200, 1), "is damaged"],
    [Buffer.of(), "is damaged"],
  ])("tokenizer.model: %#", async (file, problem) => {
    const checkpoint = llamaCheckpoint("tinyllama-model", { "tokenizer.model": file });
    await expect(importCheckpoint(checkpoint, { id: "odd" })).rejects.toThrow(problem);
  });

  it("GGUF's kinds", async () => {
    const checkpoint = llamaCheckpoint("tinyllama");
    const of = (metadata: object) => ({
      ...checkpoint,
      tokenizer: { kind: "gguf" as const, metadata: { ...metadata } },
    });
    for (const [metadata, problem] of [
      [{ "tokenizer.ggml.model": "t5" }, "tokenizer t5 is not supported: gpt2 (byte-level BPE) and llama"],
      [
        { "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "x" },
        "gpt2/x is not supported: of byte-level BPE, smollm,",
      ],
      [{ "tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": ["a"], "tokenizer.ggml.token_type": [1] }, "<0x00>"],
      [{}, "it has no tokenizer"],
    ] as const) {
      await expect(importCheckpoint(of(metadata), { id: "odd" })).rejects.toThrow(problem);
    }
  });
});
