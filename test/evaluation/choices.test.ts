import { describe, expect, it } from "vitest";
import { parseCsv } from "../../evaluation/csv.ts";
import type { Task } from "../../evaluation/task.ts";
import { arcChallenge, arcEasy } from "../../evaluation/tasks/arc.ts";
import { choiceIn, frankenHellaswag } from "../../evaluation/tasks/franken-hellaswag.ts";
import { mmlu, mmluContinuation } from "../../evaluation/tasks/mmlu.ts";
import { judge, triviaqaClosed, triviaqaOpen } from "../../evaluation/tasks/triviaqa-thesis.ts";
import { questionsOf, truthfulqaMc1 } from "../../evaluation/tasks/truthfulqa.ts";
import { createTaskTools } from "../../evaluation/tools.ts";
import { createTokenizer } from "../../src/tokenizer/index.ts";
import harness from "../fixtures/harness/choices.json";
import { tinyConfig } from "../support/base.ts";
import { tokenizerJson } from "../tokenizer/load.ts";

const tools = createTaskTools(createTokenizer(tokenizerJson), { ...tinyConfig, vocab: 49_152 });

/** What lm-evaluation-harness makes of a document. */
interface Vector {
  readonly context: readonly number[];
  readonly continuations: readonly (readonly number[])[];
  readonly results: readonly { readonly logLikelihoods: readonly number[]; readonly [metric: string]: unknown }[];
}

async function expectAsHarness(task: Task, text: string, { context, continuations, results }: Vector) {
  const [prepare] = await task.load(text, tools);
  const item = await prepare!();
  expect(item.requests).toEqual([{ type: "likelihood", context, continuations }]);
  for (const { logLikelihoods, ...metrics } of results) {
    const result = item.read([{ type: "likelihood", logLikelihoods }]);
    for (const { of } of task.metrics) expect(result[of], of).toBe(metrics[of]);
    expect(Object.keys(metrics)).toEqual(expect.arrayContaining(task.metrics.map(({ name }) => name)));
  }
}

const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;

describe("as lm-evaluation-harness", () => {
  it.each(harness.arc_easy)("prepares and scores ARC's $document.question", async ({ document, ...vector }) => {
    const { question, choices, answerKey } = document;
    const gold = choices.label.indexOf(answerKey);
    const text = JSON.stringify({ query: `Question: ${question}`, choices: choices.text, gold });
    await expectAsHarness(arcEasy, text, vector);
    await expectAsHarness(arcChallenge, text, vector);
  });

  it.each(harness.truthfulqa_mc1)("prepares and scores TruthfulQA's $document.question", async (vector) => {
    const { question, mc1_targets } = vector.document;
    const [best = "", ...wrong] = mc1_targets.choices;
    const row = [question, best, wrong.join("; ")].map(quoted).join(",");
    await expectAsHarness(truthfulqaMc1, `Question,Best Answer,Incorrect Answers\n${row}\n`, vector);
  });

  it.each(harness.mmlu_us_foreign_policy)("prepares and scores MMLU's $document.question by letter", (vector) =>
    expectAsHarness(mmlu, JSON.stringify(vector.document), vector));

  it.each(
    harness.mmlu_us_foreign_policy_continuation,
  )("prepares and scores MMLU's $document.question by answer", (vector) =>
    expectAsHarness(mmluContinuation, JSON.stringify(vector.document), vector));
});

describe("TruthfulQA.csv", () => {
  it("has the true answer first, and leaves out empty ones", () => {
    const text = '\ufeffType,Question,Best Answer,Incorrect Answers\r\nA, Why?,"Yes, ""so""","No; ;\tNever;"\r\n';
    expect(questionsOf(text)).toEqual([{ question: "Why?", choices: ['Yes, "so"', "No", "Never"] }]);
  });

  it("is refused where a row is broken or has another number of fields", () => {
    expect(parseCsv('a,b\n"x\ny",\n')).toEqual([{ a: "x\ny", b: "" }]);
    expect(parseCsv("a,b\n1,")).toEqual([{ a: "1", b: "" }]);
    expect(() => parseCsv("a,b\n1\n")).toThrow("row 2 has 1 fields, not 2");
    expect(() => parseCsv('a,b\n"1,2\n')).toThrow("row 2 is no CSV");
  });
});

describe("TriviaQA as the thesis measures it", () => {
  const prompt = async (task: Task, document: object) => {
    const [prepare] = await task.load(JSON.stringify(document), tools);
    const [request] = (await prepare!()).requests;
    if (request?.type !== "greedy") throw new Error("no greedy request");
    expect([request.maxTokens, request.stopIds]).toEqual([50, tools.endIds]);
    return tools.decode(request.context);
  };

  it("asks with the question alone, or after its paragraph", async () => {
    const document = { question: "Who wrote Hamlet?", aliases: ["x"] };
    expect(await prompt(triviaqaClosed, document)).toBe("Question: Who wrote Hamlet?\nAnswer:");
    const open = { ...document, context: "A play." };
    expect(await prompt(triviaqaOpen, open)).toBe("Context: A play.\nQuestion: Who wrote Hamlet?\nAnswer:");
  });

  it("asks 1,200 questions", async () => {
    const line = JSON.stringify({ question: "q", aliases: ["a"] });
    expect(await triviaqaClosed.load(`${line}\n`.repeat(1300), tools)).toHaveLength(1200);
  });

  it.each([
    ["The Dr. Who!", ["the dr who"], { correct: 1, exact: 1, contained: 1, overlap: 1 }],
    ["It was Orion,\n  the hunter", ["Sirius", "orion"], { correct: 1, exact: 0, contained: 1, overlap: 0 }],
    ["Bannerman, Henry", ["Henry Bannerman"], { correct: 1, exact: 0, contained: 0, overlap: 1 }],
    ["one two three four", ["five one two three four"], { correct: 1, exact: 0, contained: 0, overlap: 1 }],
    ["one two three", ["five one two three"], { correct: 0, exact: 0, contained: 0, overlap: 0 }],
    ["", ["?", "a"], { correct: 0, exact: 0, contained: 0, overlap: 0 }],
  ])("judges %j by the aliases %j", (answer, aliases, judged) => {
    expect(judge(answer, aliases)).toEqual(judged);
  });
});

describe("HellaSwag as Franken-LLaMA asks it", () => {
  const document = { activity_label: "A", ctx_a: "He runs.", ctx_b: "he", endings: ["a", "b", "c", "d"], label: 2 };
  const ready = async (text = JSON.stringify(document)) => (await frankenHellaswag.load(text, tools))[0]!();

  it("asks for a number, within 250 tokens together", async () => {
    const [request] = (await ready()).requests;
    if (request?.type !== "greedy") throw new Error("no greedy request");
    expect(tools.decode(request.context)).toBe(
      "Context: He runs. he\nChoices:\n1. a\n2. b\n3. c\n4. d\n" +
        "Which choice is the best continuation? (1, 2, 3, or 4)\nAnswer: ",
    );
    expect(request.maxTokens).toBe(250 - request.context.length);
    const [long] = (await ready(JSON.stringify({ ...document, ctx_a: "word ".repeat(400) }))).requests;
    expect(long).toMatchObject({ maxTokens: 1 });
  });

  it.each([
    ["3", 2, { correct: 1, answered: 1 }],
    ["I think (4), not 3.", 3, { correct: 0, answered: 1 }],
    ["the 12th", 11, { correct: 0, answered: 1 }],
    ["none", undefined, { correct: 0, answered: 0 }],
  ])("reads %j", async (text, choice, result) => {
    expect(choiceIn(text)).toBe(choice);
    const ids = await tools.encode(text);
    expect((await ready()).read([{ type: "greedy", ids }])).toMatchObject({ ...result, answer: text });
  });
});
