import { describe, expect, it } from "vitest";
import { encodeContinuations, rollingWindows } from "../../evaluation/encode.ts";
import { byteLength, countWords } from "../../evaluation/python.ts";
import { hellaswag, prepareHellaswag } from "../../evaluation/tasks/hellaswag.ts";
import { TASKS } from "../../evaluation/tasks/index.ts";
import { answerIn, normalize, triviaqa } from "../../evaluation/tasks/triviaqa.ts";
import { detokenize, pagesOf } from "../../evaluation/tasks/wikitext.ts";
import { createTaskTools } from "../../evaluation/tools.ts";
import type { ScoreAnswer } from "../../src/scoring/scorer.ts";
import { createTokenizer } from "../../src/tokenizer/index.ts";
import vectors from "../fixtures/harness/vectors.json";
import { tinyConfig } from "../support/base.ts";
import { tokenizerJson } from "../tokenizer/load.ts";

const tools = createTaskTools(createTokenizer(tokenizerJson), { ...tinyConfig, vocab: 49_152 });

describe("as lm-evaluation-harness", () => {
  it.each(vectors.hellaswag)("prepares HellaSwag's item $item", async ({
    document,
    query,
    choices,
    context,
    continuations,
  }) => {
    expect(prepareHellaswag(document)).toEqual({ context: query, endings: choices });
    const [prepared] = await hellaswag.load(JSON.stringify(document), tools);
    expect((await prepared!()).requests).toEqual([{ type: "likelihood", context, continuations }]);
  });

  it("prepares a document with every oddity at once", () => {
    for (const { document, query, choices } of vectors.prepared) {
      expect(prepareHellaswag(document)).toEqual({ context: query, endings: choices });
    }
  });

  it.each(vectors.pairs)("encodes $context and $continuation", async ({ context, continuation, ids }) => {
    const request = await encodeContinuations(tools, context, [continuation]);
    expect([request.context, request.continuations[0]]).toEqual(ids);
  });

  it.each(vectors.windows)("cuts $tokens tokens into windows of $window", ({ tokens, window, windows }) => {
    const ids = Array.from({ length: tokens }, (_, i) => 100 + i);
    const requests = rollingWindows(ids, 1, window);
    expect(requests.map(({ context, continuations }) => [context, continuations[0]])).toEqual(windows);
  });

  it.each(vectors.pages)("detokenizes a page and counts its words and bytes", ({ page, text, words, bytes }) => {
    expect(detokenize(page)).toBe(text);
    expect(countWords(page)).toBe(words);
    expect(byteLength(page)).toBe(bytes);
  });

  it.each(vectors.triviaqa)("reads the answer in $generated", async ({ generated, aliases, text, match }) => {
    expect(answerIn(generated)).toBe(text);
    const [prepared] = await triviaqa.load(JSON.stringify({ question: "Who", aliases }), tools);
    const item = await prepared!();
    const ids = [...(await tools.encode(generated)), 2];
    expect(item.read([{ type: "greedy", ids }])).toEqual({ exact_match: match, answer: text });
  });
});

describe("TriviaQA", () => {
  it("asks with the harness's prompt and stops at its stop strings", async () => {
    const [prepared] = await triviaqa.load(JSON.stringify({ question: "Who wrote Hamlet", aliases: ["x"] }), tools);
    const [request] = (await prepared!()).requests;
    if (request?.type !== "greedy") throw new Error("no greedy request");
    expect(tools.decode(request.context)).toBe("Question: Who wrote Hamlet?\nAnswer:");
    const stops = new Set(request.stopIds);
    for (const [text, stopping] of [
      [".", true],
      [" ,", true],
      ["\n", true],
      ["...", true],
      [" the", false],
      ["?", false],
    ]) {
      const [id = -1] = await tools.encode(text as string);
      expect(stops.has(id), JSON.stringify(text)).toBe(stopping);
    }
    expect(stops.has(2)).toBe(true);
  });

  it("compares without case and ASCII punctuation", () => {
    expect(normalize("Dr. O'Neill-Smith!")).toBe("dr oneillsmith");
  });
});

describe("HellaSwag", () => {
  const document = {
    activity_label: "A",
    ctx_a: "b",
    ctx_b: "c",
    endings: ["xx", "[step] yyyy", "zz", "wwwwww"],
    label: 3,
  };
  const read = async (logLikelihoods: number[]) => {
    const [prepared] = await hellaswag.load(JSON.stringify(document), tools);
    return (await prepared!()).read([{ type: "likelihood", logLikelihoods }]);
  };

  it("divides by the ending's characters, its own leading space among them", async () => {
    // Per character: -1, -1.2 (-1.5 without the space), -1.1, -1.3.
    expect(await read([-2, -6, -2.2, -7.8])).toMatchObject({ choice: 0, choice_norm: 0, acc: 0, acc_norm: 0 });
    expect(await read([-4, -5, -4, -3])).toMatchObject({ choice: 3, choice_norm: 3, acc: 1, acc_norm: 1 });
    expect(await read([-2.2, -5, -2.2, -9])).toMatchObject({ choice: 0, choice_norm: 1 });
  });

  it("takes the first of equals", async () => {
    expect(await read([-3, -7.5, -3, -9])).toMatchObject({ choice: 0, choice_norm: 0 });
  });
});

describe("WikiText's pages", () => {
  it("begin at titles, and hold all of the text but the line breaks before them", () => {
    const text = " \n = One = \n \n = = Part = = \n a = b = c \n \n = X = \n \n last \n";
    expect(pagesOf(text)).toEqual([" \n = One = \n \n = = Part = = \n a = b = c \n ", " = X = \n \n last \n"]);
  });
});

it("each task's metrics are made of numbers that its items give", async () => {
  const texts: Record<string, string> = {
    hellaswag: JSON.stringify(vectors.hellaswag[0]?.document),
    triviaqa: JSON.stringify({ question: "q", aliases: ["a"] }),
    "wiki-heldout": JSON.stringify({ title: "t", text: "Some words here." }),
    "triviaqa-open": JSON.stringify({ question: "q", aliases: ["a"], context: "c" }),
    "arc-easy": JSON.stringify({ query: "Question: q", choices: ["a", "b"], gold: 0 }),
    "arc-challenge": JSON.stringify({ query: "Question: q", choices: ["a", "b"], gold: 0 }),
    mmlu: JSON.stringify({ question: "q", subject: "s", choices: ["a", "b", "c", "d"], answer: 3 }),
    truthfulqa: "Question,Best Answer,Incorrect Answers\nq,a,b\n",
    chats: JSON.stringify({ user: "q", answer: "a", ended: true }),
    wikitext2: ` = T = \n \n${" word".repeat(600)} \n`,
  };
  for (const task of TASKS.values()) {
    const [prepared] = await task.load(texts[task.source]!, tools);
    const item = await prepared!();
    const answers = item.requests.map((request): ScoreAnswer => {
      if (request.type === "greedy") return { type: "greedy", ids: [5] };
      if (request.type === "divergence") return { type: "divergence", tokens: 1, agreements: 1, kl: 0 };
      return { type: "likelihood", logLikelihoods: request.continuations.map(() => -1) };
    });
    const result = item.read(answers);
    for (const rule of task.metrics) {
      for (const field of [rule.of, ...("over" in rule ? [rule.over] : [])])
        expect(result[field], field).toBeTypeOf("number");
    }
  }
});
