import { describe, expect, test } from "vitest";
import { completionChunkSchema, completionSchema } from "../../src/openai/index.ts";
import type { Frame, FrameToken, GenerateRequest } from "../../src/replica/protocol.ts";
import {
  end,
  errorOf,
  type Script,
  saying,
  sharedTokenizer,
  type TestGateway,
  testGateway,
  tokens,
} from "./gateway.ts";

const PROMPT = "The capital of Italy is";
const PROMPT_IDS = [504, 3575, 282, 7158, 314];

const complete = (gateway: TestGateway, body: object): Promise<Response> =>
  gateway.fetch("/v1/completions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "smollm2-135m", prompt: PROMPT, ...body }),
  });

const completionOf = async (response: Response) => {
  const body = await response.json();
  expect(response.status, JSON.stringify(body)).toBe(200);
  return completionSchema.strict().parse(body);
};

async function chunksOf(response: Response) {
  expect(response.headers.get("content-type")).toContain("text/event-stream");
  const events = (await response.text())
    .split("\n\n")
    .filter((block) => block.startsWith("data: "))
    .map((block) => block.slice(6));
  expect(events.pop()).toBe("[DONE]");
  return events.map((event) => completionChunkSchema.strict().parse(JSON.parse(event)));
}

/** Says these tokens, each with its log-probability and itself as the likeliest, and likelihoods of the prompt where they are asked for. */
const likely =
  (said: readonly FrameToken[], ending: Frame = { type: "end", reason: "length" }) =>
  ({ promptIds, promptLogprobs, maxTokens }: GenerateRequest): Script => [
    { type: "start", cached: 0 },
    ...(promptLogprobs === undefined
      ? []
      : [{ type: "prompt" as const, tokens: promptIds.slice(1).map((id, i) => told(id, -0.5 - i, promptLogprobs)) }]),
    ...said.slice(0, maxTokens).map((token) => ({ type: "token" as const, ...token })),
    ending,
  ];
const told = (id: number, logprob: number, top: number): FrameToken => ({
  id,
  logprob,
  top: Array.from({ length: top }, (_, i) => [id + i, logprob - i]),
});

describe("a whole completion", () => {
  test("has OpenAI's shape", async () => {
    const gateway = testGateway(await saying(" Rome."), { now: () => 1_700_000_000_500, newId: () => "abc" });
    expect(await completionOf(await complete(gateway, {}))).toEqual({
      id: "cmpl-abc",
      object: "text_completion",
      created: 1_700_000_000,
      model: "smollm2-135m",
      choices: [{ index: 0, text: " Rome.", logprobs: null, finish_reason: "stop" }],
      usage: {
        prompt_tokens: 5,
        completion_tokens: 2,
        total_tokens: 7,
        prompt_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
        completion_tokens_details: {
          reasoning_tokens: 0,
          accepted_prediction_tokens: 0,
          rejected_prediction_tokens: 0,
        },
      },
      system_fingerprint: expect.stringMatching(/^fp_[0-9a-f]{12}$/),
    });
  });

  test("asks the replica for just what was asked for", async () => {
    const gateway = testGateway();
    await complete(gateway, {});
    await complete(gateway, { max_tokens: 7, seed: 5, temperature: 0.5, top_p: 0.9, presence_penalty: 1 });
    await complete(gateway, { echo: true, logprobs: 3, logit_bias: { 12: -4 } });
    await complete(gateway, { echo: true, max_tokens: 0 });
    const [plain, sampled, echoed, nothing] = gateway.replica.requests;
    expect(plain).toMatchObject({ promptIds: PROMPT_IDS, maxTokens: 16, temperature: 1, topP: 1 });
    expect(plain).not.toHaveProperty("promptLogprobs", expect.anything());
    expect(plain).not.toHaveProperty("logprobs", expect.anything());
    expect(sampled).toMatchObject({
      maxTokens: 7,
      seed: 5,
      temperature: 0.5,
      topP: 0.9,
      presencePenalty: 1,
    });
    expect(echoed).toMatchObject({ logprobs: 3, promptLogprobs: 3, logitBias: [[12, -4]] });
    expect(nothing).toMatchObject({ maxTokens: 0, promptLogprobs: 0 });
  });

  test.each([
    ["a text", PROMPT, [PROMPT_IDS]],
    ["texts", [PROMPT, " Rome"], [PROMPT_IDS, [7268]]],
    ["ids", PROMPT_IDS, [PROMPT_IDS]],
    ["arrays of ids", [PROMPT_IDS, [5]], [PROMPT_IDS, [5]]],
    ["special tokens spelled", "<|im_start|>user\n", [[1, 4093, 198]]],
    ["an empty text", "", [[1]]],
    ["an empty text among others", ["", PROMPT], [[1], PROMPT_IDS]],
    ["null", null, [[1]]],
  ])("takes %s as prompt", async (_, prompt, ids) => {
    const gateway = testGateway();
    expect((await complete(gateway, { prompt })).status).toBe(200);
    expect(gateway.replica.requests.map(({ promptIds }) => promptIds)).toEqual(ids);
  });

  test("reads half a surrogate pair as U+FFFD", async () => {
    const { choices } = await completionOf(await complete(testGateway(), { prompt: "a\ud800", echo: true }));
    expect(choices[0]?.text).toBe("a\ufffd");
  });

  test("numbers the choices of several prompts", async () => {
    const gateway = testGateway(({ promptIds }) => [...tokens([promptIds[0] as number]), end]);
    const { choices, usage } = await completionOf(await complete(gateway, { prompt: [[504], [282]], n: 2 }));
    expect(choices.map(({ index, text }) => [index, text])).toEqual([
      [0, "The"],
      [1, "The"],
      [2, " of"],
      [3, " of"],
    ]);
    expect(usage).toMatchObject({ prompt_tokens: 2, completion_tokens: 4 });
    expect(gateway.replica.requests.map(({ choice }) => choice)).toEqual([0, 1, 2, 3]);
  });

  test("stops at any of many texts, which stay out", async () => {
    const gateway = testGateway(await saying(" Rome, of course.\n\nQuestion: what"));
    const stop = ["zz", "yy", "xx", "ww", "vv", "\n\nQuestion:", "Answer:"];
    const { choices } = await completionOf(await complete(gateway, { stop, max_tokens: 100 }));
    expect(choices[0]).toMatchObject({ text: " Rome, of course.", finish_reason: "stop" });
  });

  test("tells the best choices first", async () => {
    const logprobs = [-3, -0.5, -2, -1];
    const gateway = testGateway(({ choice = 0 }) => [
      { type: "token", id: 504 + choice, logprob: logprobs[choice] as number, top: [] },
      { type: "token", id: 282, logprob: logprobs[choice] as number, top: [] },
      // Counts too: without it the second would be the best.
      { type: "end", reason: "stop", token: { id: 2, logprob: choice === 1 ? -9 : 0, top: [] } },
    ]);
    const { choices, usage } = await completionOf(await complete(gateway, { best_of: 4, n: 2, max_tokens: 9 }));
    const textOf = (choice: number): string => sharedTokenizer().decode([504 + choice, 282]);
    expect(choices.map(({ text }) => text)).toEqual([textOf(3), textOf(2)]);
    expect(choices.map(({ index }) => index)).toEqual([0, 1]);
    expect(choices[0]?.logprobs).toBeNull();
    expect(usage.completion_tokens).toBe(8);
  });
});

describe("log-probabilities", () => {
  test("keep the evaluation harness's contract: one entry for each prompt token, the first null, and one more", async () => {
    for (const ending of [
      { said: [{ id: 7268, logprob: -0.25, top: [[7268, -0.25]] } satisfies FrameToken], last: " Rome" },
      { said: [], last: "<|im_end|>" },
    ]) {
      const token = { id: 2, logprob: -0.25, top: [[2, -0.25]] } satisfies FrameToken;
      const script = likely(ending.said, ending.said.length > 0 ? undefined : { type: "end", reason: "stop", token });
      const gateway = testGateway(script);
      const body = { prompt: [PROMPT_IDS, PROMPT_IDS.slice(0, 2)], temperature: 0, max_tokens: 1, seed: 1234 };
      const { choices } = await completionOf(await complete(gateway, { ...body, logprobs: 1, echo: true }));
      const [whole, shorter] = choices.map(({ logprobs }) => logprobs);
      expect(whole?.token_logprobs).toEqual([null, -0.5, -1.5, -2.5, -3.5, -0.25]);
      expect(whole?.tokens).toEqual(["The", " capital", " of", " Italy", " is", ending.last]);
      expect(whole?.top_logprobs.slice(1).map((top) => Math.max(...Object.values(top ?? {})))).toEqual(
        whole?.token_logprobs.slice(1),
      );
      expect(whole?.top_logprobs[0]).toBeNull();
      expect(whole?.text_offset).toEqual([0, 3, 11, 14, 20, 23]);
      expect(shorter?.token_logprobs).toEqual([null, -0.5, -0.25]);
    }
  });

  test("let no token hide a likelier one of the same text", async () => {
    // 2 is special and 9 is not in the likeliest, in this order; all others are bytes of a character that is never whole.
    const bytes = Array.from({ length: sharedTokenizer().size }, (_, id) => id).filter((id) =>
      sharedTokenizer().decode([id]).startsWith("\ufffd"),
    );
    const [first = 0, second = 0, third = 0] = bytes;
    const gateway = testGateway(
      likely([
        { id: third, logprob: -3, top: [[first, -0.25] as [number, number], [second, -0.5] as [number, number]] },
      ]),
    );
    const { choices } = await completionOf(await complete(gateway, { logprobs: 2, max_tokens: 1 }));
    const top = choices[0]?.logprobs?.top_logprobs[0] ?? {};
    expect(Object.values(top)).toEqual([-0.25, -0.5, -3]);
    expect(Object.keys(top)[0]).toMatch(/^bytes:(\\x[0-9a-f]{2})+$/);
  });

  test("tell the token itself where it is not one of the likeliest, and none with 0", async () => {
    const said = [{ id: 504, logprob: -7, top: [[282, -0.5] as [number, number]] }];
    const { choices } = await completionOf(await complete(testGateway(likely(said)), { logprobs: 1, max_tokens: 1 }));
    expect(choices[0]?.logprobs?.top_logprobs).toEqual([{ " of": -0.5, The: -7 }]);
    const none = likely([{ id: 504, logprob: -7, top: [] }]);
    const plain = await completionOf(await complete(testGateway(none), { logprobs: 0, max_tokens: 1 }));
    expect(plain.choices[0]?.logprobs).toMatchObject({ token_logprobs: [-7], top_logprobs: [{ The: -7 }] });
  });

  test("survive a token that is named as a property of every object", async () => {
    const { ids } = await sharedTokenizer().encode("__proto__");
    const said = ids.map((id) => ({ id, logprob: -1, top: [] }));
    const body = await (await complete(testGateway(likely(said)), { logprobs: 1, max_tokens: 9 })).text();
    expect(completionSchema.parse(JSON.parse(body)).choices[0]?.logprobs?.top_logprobs).toHaveLength(ids.length);
  });

  test("count offsets in code points, over tokens that are part of a character", async () => {
    const { ids } = await sharedTokenizer().encode("é👍🏽 ok");
    const script = likely(ids.map((id) => told(id, -1, 1)));
    const body = { prompt: "🙂 a", echo: true, logprobs: 1, max_tokens: 50 };
    const { choices } = await completionOf(await complete(testGateway(script), body));
    const { text, logprobs } = choices[0] as (typeof choices)[number];
    expect(text).toBe("🙂 aé👍🏽 ok");
    const characters = [...text];
    for (const [i, token] of (logprobs?.tokens ?? []).entries()) {
      const at = logprobs?.text_offset[i] as number;
      if (!token.startsWith("bytes:")) expect(characters.slice(at, at + [...token].length).join("")).toBe(token);
    }
    expect(logprobs?.tokens.some((token) => token.startsWith("bytes:"))).toBe(true);
    expect(logprobs?.text_offset.at(-1)).toBe(characters.length - 3);
  });
});

describe("a streamed completion", () => {
  test.each([
    ["text only", {}],
    ["log-probabilities", { logprobs: 2 }],
    ["echo", { echo: true }],
    ["echo with log-probabilities", { echo: true, logprobs: 2, n: 2, prompt: [PROMPT, "é👍🏽"] }],
    ["echo of half a character", { echo: true, logprobs: 2, prompt: [504, 167] }],
    ["no new token", { echo: true, logprobs: 1, max_tokens: 0 }],
  ])("says the same as a whole one: %s", async (_, body) => {
    const { ids } = await sharedTokenizer().encode(" Rome 👍🏽 é");
    const gateway = testGateway(likely(ids.map((id, i) => told(id, -i, 2))));
    const whole = await completionOf(await complete(gateway, { max_tokens: 40, ...body }));
    const chunks = await chunksOf(
      await complete(gateway, { max_tokens: 40, ...body, stream: true, stream_options: { include_usage: true } }),
    );
    expect(chunks.pop()).toMatchObject({ choices: [], usage: whole.usage });
    const choices = chunks.flatMap((chunk) => chunk.choices);
    expect(chunks.every(({ usage, object }) => usage === null && object === "text_completion")).toBe(true);
    for (const choice of whole.choices) {
      const own = choices.filter(({ index }) => index === choice.index);
      expect(own.map(({ text }) => text).join("")).toBe(choice.text);
      expect(own.map(({ finish_reason }) => finish_reason).filter((reason) => reason)).toEqual([choice.finish_reason]);
      expect(own.at(-1)?.finish_reason).toBe(choice.finish_reason);
      for (const list of ["tokens", "token_logprobs", "top_logprobs", "text_offset"] as const) {
        expect(own.flatMap(({ logprobs }) => (logprobs?.[list] ?? []) as unknown[])).toEqual(
          choice.logprobs?.[list] ?? [],
        );
      }
    }
  });

  test("tells an error that comes later as its last event", async () => {
    const gateway = testGateway([...tokens([504]), { type: "error", code: "internal", message: "why" }]);
    const text = await (await complete(gateway, { stream: true })).text();
    expect(text.split("\n\n").at(-2)).toMatch(/^data: \{"error":\{.*"code":"internal_error"/);
    expect(text).not.toContain("[DONE]");
  });
});

describe("refuses", () => {
  const LONG = Array.from({ length: 8193 }, () => 504);
  test.each([
    ["no prompt", { prompt: undefined }, "prompt", "missing_required_parameter"],
    ["a prompt of another kind", { prompt: { text: "a" } }, "prompt", "invalid_type"],
    ["no prompts", { prompt: [] }, "prompt", "invalid_value"],
    ["an empty array of ids", { prompt: [[]] }, "prompt.0", "invalid_value"],
    ["prompts of two kinds", { prompt: ["a", [1]] }, "prompt.1", "invalid_type"],
    ["ids among texts", { prompt: ["a", 5] }, "prompt.1", "invalid_type"],
    ["text among ids", { prompt: [5, "a"] }, "prompt.1", "invalid_type"],
    ["ids that are none", { prompt: [[5, 0.5]] }, "prompt.0.1", "invalid_type"],
    ["negative ids", { prompt: [5, -1] }, "prompt.1", "invalid_type"],
    ["ids beyond the vocabulary", { prompt: [5, 49152] }, "prompt.1", "invalid_value"],
    ["ids beyond the vocabulary in one of several", { prompt: [[5], [5, 49152]] }, "prompt.1.1", "invalid_value"],
    ["prompts too many", { prompt: Array.from({ length: 129 }, () => "a") }, "prompt", "invalid_value"],
    ["choices too many", { prompt: Array.from({ length: 65 }, () => "a"), n: 2 }, "prompt", "invalid_value"],
    ["a prompt too long", { prompt: [[5], LONG] }, "prompt.1", "context_length_exceeded"],
    ["suffix", { suffix: " end" }, "suffix", "unsupported_parameter"],
    ["max_tokens 0 without echo", { max_tokens: 0 }, "max_tokens", "invalid_value"],
    ["logprobs above 20", { logprobs: 21 }, "logprobs", "invalid_value"],
    ["logprobs as chat has them", { logprobs: true }, "logprobs", "invalid_type"],
    ["best_of below n", { n: 3, best_of: 2 }, "best_of", "invalid_value"],
    ["best_of in a stream", { best_of: 2, stream: true }, "best_of", "invalid_value"],
    ["stream_options without stream", { stream_options: { include_usage: true } }, "stream_options", "invalid_value"],
    ["an empty stop", { stop: [""] }, "stop.0", "invalid_value"],
    ["257 stops", { stop: Array.from({ length: 257 }, () => "a") }, "stop", "invalid_value"],
    [
      "more to tell than there is room for",
      { prompt: Array.from({ length: 9 }, () => LONG.slice(0, 1100)), echo: true, logprobs: 20 },
      "logprobs",
      "invalid_value",
    ],
    ["an unknown model", { model: "gpt-5" }, "model", "model_not_found"],
  ])("%s", async (_, body, param, code) => {
    const gateway = testGateway();
    const response = await complete(gateway, body);
    expect(await errorOf(response)).toMatchObject({ param, code, type: "invalid_request_error" });
    expect(response.status).toBe(code === "model_not_found" ? 404 : 400);
    expect(gateway.replica.requests).toEqual([]);
  });

  test("nothing that has no effect", async () => {
    const body = { suffix: null, user: "me", best_of: 1, logit_bias: null, top_k: 5, stop: null, logprobs: null };
    expect((await complete(testGateway(), body)).status).toBe(200);
  });
});
