// How the data that are made here are made: chats from the base's own tokens, and paragraphs for
// questions.
import { readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { zipSync } from "fflate";
import { expect, it } from "vitest";
import { tokenizersFile } from "../../build/paths.ts";
import { heldChats } from "../../scripts/data/chats.ts";
import { openBook } from "../../scripts/data/open-book.ts";
import { createTokenizer, type TokenizerJson } from "../../src/tokenizer/index.ts";

const tokenizers = JSON.parse(await readFile(tokenizersFile, "utf8")) as Record<string, TokenizerJson>;
const tokenizer = createTokenizer(tokenizers["smollm2-135m-instruct"] as TokenizerJson);

/** As NumPy writes an array of uint16. */
function archive(rows: readonly (readonly number[])[]): Uint8Array {
  const header = `{'descr': '<u2', 'fortran_order': False, 'shape': (${rows.length}, ${rows[0]?.length}), }\n`;
  const head = Buffer.from(`\x93NUMPY\x01\x00\x00\x00${header}`, "latin1");
  head.writeUInt16LE(header.length, 8);
  const values = Buffer.from(Uint16Array.from(rows.flat()).buffer);
  return zipSync({ "ids.npy": Buffer.concat([head, values]) });
}

it("takes of each row the first user turn and the answer, as far as it goes", async () => {
  const opening =
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n";
  const start = `${opening}<|im_start|>user\nWhy?`;
  const answer = "<|im_end|>\n<|im_start|>assistant\nBecause\nof that.";
  const texts = [
    `${start}${answer}<|im_end|>\n<|im_start|>user\nAnd then?`,
    `${start}${answer}`,
    `${start}<|im_start|>${answer}`,
    `${start} and on`,
    `<|im_start|>user\nWhy?${answer}`,
  ];
  const rows = await Promise.all(texts.map(async (text) => (await tokenizer.encode(text)).ids));
  // One length for all: what the base goes on with after a turn that ended, or within one that did
  // not.
  const width = Math.max(...rows.map(({ length }) => length));
  const [more = 0] = (await tokenizer.encode(" so")).ids;
  const padded = rows.map((ids) => [...ids, ...Array.from({ length: width - ids.length }, () => more)]);
  const chats = heldChats(archive(padded), tokenizer);
  expect(chats).toEqual([
    { user: "Why?", answer: "Because\nof that.", ended: true },
    { user: "Why?", answer: expect.stringMatching(/^Because\nof that\.( so)+$/), ended: false },
  ]);
});

it("finds the paragraph that shares most rare words with a question and holds an answer", () => {
  const pad = (text: string): string => `${text} ${"and so it was written there ".repeat(8)}`.trim();
  const paragraphs = [
    pad("The heron nests in Ruritania."),
    pad("The heron nests in Ruritania, and Queen Flavia keeps one."),
    `${pad("The heron nests in Ruritania; Queen Flavia has one")} too.`,
    pad("Of no heron that nests is anything known here."),
    ...Array.from({ length: 400 }, (_, i) => pad(`Filler ${i} for the other words.`)),
  ];
  const extract = gzipSync(["short", ...paragraphs].join("\n"));
  const ask = (question: string, ...aliases: string[]) => openBook([{ question, aliases }], extract);
  const question = "Which queen keeps a heron that nests";
  expect(ask(question, "Queen Flavia")).toEqual([{ question, aliases: ["Queen Flavia"], context: paragraphs[1] }]);
  // Two share three of its rare words: the one of fewer characters.
  expect(ask("Which queen and heron nests", "Flavia").map(({ context }) => context)).toEqual([paragraphs[2]]);
  expect(ask(question, "Rudolf")).toEqual([]);
  expect(ask(question, "heron")).toEqual([]);
  expect(ask("Which queen", "Flavia")).toEqual([]);
});
