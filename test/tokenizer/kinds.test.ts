import { Tokenizer as Library } from "@huggingface/tokenizers";
import { describe, expect, it } from "vitest";
import { PREFIX_KEY } from "../../formats/tokenizer/sentencepiece.ts";
import { createTokenizer, RunTooLongError } from "../../src/tokenizer/index.ts";
import llamaBpe from "../fixtures/tokenizers/llama-bpe.json";
import sentencePiece from "../fixtures/tokenizers/sentencepiece.json";
import { numbers } from "../support/numbers.ts";
import { built, llamaBpeMetadata, sentencePieceMetadata } from "./kinds.ts";

const KINDS = {
  prepend: { json: built(sentencePieceMetadata), vectors: sentencePiece.vectors.prepend },
  "metaspace-first": {
    json: built({ ...sentencePieceMetadata, [PREFIX_KEY]: "first" }),
    vectors: sentencePiece.vectors["metaspace-first"],
  },
  "metaspace-never": {
    json: built({ ...sentencePieceMetadata, "tokenizer.ggml.add_space_prefix": false }),
    vectors: sentencePiece.vectors["metaspace-never"],
  },
  "llama-bpe": { json: built(llamaBpeMetadata), vectors: llamaBpe.vectors },
};

describe.each(Object.entries(KINDS))("%s", (_, { json, vectors }) => {
  const tokenizer = createTokenizer(json);

  it("gives the ids that the reference gives", async () => {
    for (const { text, ids } of vectors) {
      // The reference puts a second bos token before one that the text spells.
      const doubled = ids[0] === ids[1] && ids[0] === tokenizer.bosId;
      const { ids: own } = await tokenizer.encode(text);
      expect(own, JSON.stringify(text)).toEqual(doubled ? ids.slice(1) : ids);
      expect((await tokenizer.encode(text, { addStart: false })).ids).toEqual(doubled ? own : own.slice(1));
    }
  });

  it("gives the text that the reference gives, of the whole, token by token and as an echo", () => {
    for (const { text, ids, decoded } of vectors) {
      expect(tokenizer.decode(ids), JSON.stringify(text)).toBe(decoded);
      const echo = tokenizer.createEcho();
      const echoed = ids.map(echo.push).join("") + echo.end();
      // Metaspace puts no space before a text that has one, so that what was there is not known.
      if (json.tokenizer.normalizer || !/^[ ▁]/.test(text)) expect(echoed).toBe(text.replaceAll("▁", shown(text)));
    }
  });
  /** SentencePiece cannot tell its sign from a space. */
  const shown = (text: string) => (json.tokenizer.model.byte_fallback ? " " : text && "▁");
});

describe("SentencePiece", () => {
  const tokenizer = createTokenizer(KINDS.prepend.json);

  it("agrees with SentencePiece itself, by merges that are made of its scores", async () => {
    for (const { text, ids } of sentencePiece.sentencepiece) {
      if (text) expect((await tokenizer.encode(text)).ids, JSON.stringify(text)).toEqual(ids);
    }
    const { merges } = sentencePiece.files.prepend.model;
    expect(KINDS.prepend.json.tokenizer.model.merges).toEqual((merges as string[][]).map((merge) => merge.join(" ")));
  });
});

describe("texts of many segments have the tokens that they have in one piece", () => {
  const kinds = {
    ...Object.fromEntries(Object.entries(KINDS).map(([name, { json }]) => [name, json])),
    ...Object.fromEntries(
      ["qwen2", "smaug-bpe", "gpt-2"].map((pre) => [pre, built({ ...llamaBpeMetadata, "tokenizer.ggml.pre": pre })]),
    ),
  };
  const UNITS = [
    ...[
      "the cat ",
      "word",
      "it's ",
      "'s",
      "'T",
      "(a)",
      "日本",
      "。",
      "é",
      "e\u0301",
      "\u0301",
      "👍🏽",
      "▁",
      "x▁y",
      "=",
      "--",
      "\u0000",
    ],
    ...[
      " ",
      "  ",
      "    ",
      "\n",
      "\r\n",
      "\n\n ",
      "\t",
      "!\n",
      "7",
      "1234",
      "½",
      "\u00a0",
      "\u0085",
      "\ufeff",
      "\u2028",
      "\u{1d7d8}",
    ],
  ];

  it.each(Object.entries(kinds))("%s", async (_, json) => {
    const { encode } = createTokenizer(json);
    const whole = new Library({ ...json.tokenizer, added_tokens: [], post_processor: null }, json.config);
    for (let seed = 1; seed <= 12; seed++) {
      const next = numbers(seed);
      const text = Array.from({ length: 3000 }, () => UNITS[next(UNITS.length)]).join("");
      const { ids } = await encode(text, { addStart: false });
      expect(ids).toEqual(whole.encode(text, { add_special_tokens: false }).ids);
    }
  });

  it("unless there is no place for a cut", async () => {
    for (const json of Object.values(kinds)) {
      const { encode } = createTokenizer(json);
      await expect(encode(`x${" ".repeat(20_000)}y`)).rejects.toThrow(RunTooLongError);
    }
  });
});
