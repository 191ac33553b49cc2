// Completions as an evaluation server: the process that `npm start` runs, on the real weights, against our own scorer in this process.
import { beforeAll, describe, expect, it } from "vitest";
import { readKernels } from "../../evaluation/offline/wasm.ts";
import type { WasmEngine } from "../../src/engine/wasm/index.ts";
import { createWasmEngine } from "../../src/engine/wasm/index.ts";
import { createEngineScorer } from "../../src/scoring/engine-scorer.ts";
import type { Plan } from "../../src/variants/plan.ts";
import { openBuilt, readCatalogue } from "../engine/wasm/built.ts";
import { service } from "./service.ts";

const MODEL = "smollm2-135m";
const CONTEXT = "Roof shingle removal: A man is sitting on a roof. He";
const ENDINGS = [
  " is using wrap to wrap a pair of skis.",
  " is ripping level tiles off.",
  " is holding a rubik's cube 👍🏽.",
  " starts pulling up roofing on a roof.",
];

const server = service();
let engine: WasmEngine;
let plan: Plan;
beforeAll(async () => {
  ({ plan } = (await readCatalogue()).get(MODEL)!);
  engine = await createWasmEngine({ base: plan.base, open: openBuilt, modules: await readKernels() });
});

/** As the harness's remote tokenizer asks: without a key. */
async function post<T>(path: string, body: object): Promise<T> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(server.url + path, { method: "POST", headers, body: JSON.stringify(body) });
  expect(response.status).toBe(200);
  return response.json() as Promise<T>;
}
const encode = async (prompt: string): Promise<number[]> =>
  (await post<{ tokens: number[] }>("/tokenize", { prompt, add_special_tokens: false })).tokens;

/** What lm-evaluation-harness 0.4 sends, and what it reads of the answer: `[log-likelihood, is greedy]` for each prompt. */
async function harness(prompt: number[][], contexts: readonly number[]) {
  const completion = await server.openai.completions.create({
    model: MODEL,
    prompt,
    temperature: 0,
    max_tokens: 1,
    logprobs: 1,
    seed: 1234,
    echo: true,
  });
  const answers = completion.choices.map(({ index, logprobs }) => {
    const from = contexts[index];
    const told = (logprobs?.token_logprobs ?? []).slice(from, -1);
    const top = (logprobs?.top_logprobs ?? []).slice(from, -1);
    expect(logprobs?.token_logprobs).toHaveLength(prompt[index]!.length + 1);
    return {
      logLikelihood: told.reduce((sum, value) => sum + value, 0),
      greedy: told.every((value, i) => value === Math.max(...Object.values(top[i]!))),
    };
  });
  return { answers, cached: completion.usage?.prompt_tokens_details?.cached_tokens };
}

describe("completions", () => {
  it("tell likelihoods that have the bits of our own scorer's", async () => {
    const context = await encode(CONTEXT);
    const whole = await Promise.all(ENDINGS.map((ending) => encode(CONTEXT + ending)));
    const continuations = whole.map((ids) => ids.slice(context.length));
    const scorer = createEngineScorer({ engine, plan });
    const ours = await scorer.answer({ type: "likelihood", context, continuations });
    const contexts = whole.map(() => context.length);
    const { answers } = await harness(whole, contexts);
    expect(answers.map(({ logLikelihood }) => logLikelihood)).toEqual(ours.logLikelihoods);
    expect(answers.some(({ greedy }) => greedy)).toBe(false);
  });

  it("go on from a beginning that an earlier request had, with the same bits", async () => {
    const prompt = [(await encode(`${CONTEXT}${ENDINGS.join("")}`.repeat(3))).slice(0, 150)];
    const first = await harness(prompt, [1]);
    const second = await harness(prompt, [1]);
    expect(first.cached).toBe(0);
    expect(second.cached).toBeGreaterThan(100);
    expect(second.answers).toEqual(first.answers);
  });

  it("call greedy just what the model would have said", async () => {
    const context = await encode(CONTEXT);
    const ask = { model: MODEL, prompt: context, temperature: 0, max_tokens: 6, logprobs: 0 };
    const { choices } = await server.openai.completions.create(ask);
    const said = choices[0]!.text;
    const ids = await encode(CONTEXT + said);
    // Text has many spellings in tokens; this one is the model's own.
    expect(ids).toHaveLength(context.length + 6);
    const other = [...ids.slice(0, -1), ids.at(-1)! + 1];
    const { answers } = await harness([ids, other], [context.length, context.length]);
    expect(answers.map(({ greedy }) => greedy)).toEqual([true, false]);
    const spoken = (choices[0]!.logprobs?.token_logprobs ?? []).reduce((sum, value) => sum + value, 0);
    // A prompt's log-probabilities are rounded to 32 bits, each once.
    expect(Math.abs(spoken - answers[0]!.logLikelihood)).toBeLessThan(6 * 2e-6);
  });

  it("have room for the harness's longest window: 2,048 tokens, one before and one after", () => {
    expect(engine.capacityOf(plan)).toBeGreaterThanOrEqual(2050);
  });

  it("stream what they say whole, for each of several prompts and choices", async () => {
    const ask = {
      model: MODEL,
      prompt: [CONTEXT, "One, two, three,"],
      n: 2,
      seed: 3,
      temperature: 0.9,
      max_tokens: 8,
      echo: true,
      logprobs: 2,
      stop: ["a b", "c d", "e f", "g h", "i j"],
    };
    const whole = await server.openai.completions.create(ask);
    const texts = ["", "", "", ""];
    const told: number[][] = [[], [], [], []];
    for await (const chunk of await server.openai.completions.create({ ...ask, stream: true })) {
      for (const { index, text, logprobs } of chunk.choices) {
        texts[index] += text;
        told[index]!.push(...(logprobs?.token_logprobs ?? []));
      }
    }
    expect(texts).toEqual(whole.choices.map(({ text }) => text));
    expect(told).toEqual(whole.choices.map(({ logprobs }) => logprobs?.token_logprobs));
    expect(new Set(texts).size).toBe(4);
  });

  it("put the likeliest of several choices first", async () => {
    const ask = {
      model: MODEL,
      prompt: CONTEXT,
      best_of: 4,
      n: 3,
      seed: 5,
      temperature: 1,
      max_tokens: 6,
      logprobs: 0,
    };
    const { choices, usage } = await server.openai.completions.create(ask);
    const means = choices.map(({ logprobs }) => {
      const all = logprobs?.token_logprobs ?? [];
      return all.reduce((sum, value) => sum + value, 0) / all.length;
    });
    expect(means).toEqual(means.toSorted((a, b) => b - a));
    expect(choices).toHaveLength(3);
    expect(usage?.completion_tokens).toBeGreaterThan(18);
  });
});
