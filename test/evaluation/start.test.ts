// What is scored begins with the bos token where the tokenizer adds it, as lm-evaluation-harness's models of transformers read a context.
import { expect, it } from "vitest";
import { TASKS } from "../../evaluation/tasks/index.ts";
import { createTaskTools } from "../../evaluation/tools.ts";
import { createTokenizer } from "../../src/tokenizer/index.ts";
import { tinyConfig } from "../support/base.ts";
import { built, llamaBpeMetadata, sentencePieceMetadata } from "../tokenizer/kinds.ts";

const JSONL = {
  hellaswag: { activity_label: "Cooking", ctx_a: "A man cuts", ctx_b: "he", endings: ["eats.", "sings."], label: 0 },
  triviaqa: { question: "Who", aliases: ["Me"] },
  "wiki-heldout": { text: "The cat sat on the mat." },
};
const words = "The cat sat on the mat and it was there. ".repeat(300);
const TEXTS = { ...Object.fromEntries(Object.entries(JSONL).map(([task, line]) => [task, JSON.stringify(line)])) };

it.each([
  ["SentencePiece's", sentencePieceMetadata, 1],
  ["Llama 3's", llamaBpeMetadata, 900],
])("with %s tokenizer", async (_, metadata, bos) => {
  const tokenizer = createTokenizer(built(metadata));
  const tools = createTaskTools(tokenizer, { ...tinyConfig, vocab: tokenizer.size, bosTokenId: bos });
  const contexts = async (task: string, text: string) => {
    const items = (await TASKS.get(task)?.load(text, tools)) ?? [];
    const made = await Promise.all(items.map((item) => item()));
    return made.flatMap(({ requests }) => requests);
  };
  for (const [task, text] of Object.entries(TEXTS)) {
    const [request] = await contexts(task, text);
    expect(request?.context.filter((id) => id === bos)).toHaveLength(1);
    expect(request?.context[0]).toBe(bos);
    if (request?.type === "likelihood") expect(request.continuations.flat()).not.toContain(bos);
  }
  // Disjoint windows of one text, of which the first is its beginning.
  const windows = await contexts("wikitext-512", words);
  expect(windows.map(({ context }) => context[0] === bos)).toEqual(windows.map((_, i) => i === 0));
});
