import { describe, expect, test } from "vitest";
import { errorOf, testGateway } from "./gateway.ts";

const post = (path: string, body: unknown, authorization = ""): Promise<Response> =>
  testGateway().fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json", authorization },
    body: JSON.stringify(body),
  });

describe("the tokenizer's endpoints", () => {
  test("turn text into ids and back, without a key", async () => {
    const prompt = "<|im_start|>user\nWas ist 👍🏽?<|im_end|>";
    for (const add_special_tokens of [true, false, undefined]) {
      const tokenized = (await (await post("/tokenize", { prompt, add_special_tokens })).json()) as {
        tokens: number[];
      };
      expect(tokenized).toEqual({ tokens: expect.any(Array), count: tokenized.tokens.length, max_model_len: 8192 });
      expect([tokenized.tokens[0], tokenized.tokens.at(-1)]).toEqual([1, 2]);
      expect(await (await post("/detokenize", { tokens: tokenized.tokens })).json()).toEqual({ prompt });
    }
  });

  test("take nothing for nothing", async () => {
    expect(await (await post("/tokenize", { prompt: "" })).json()).toMatchObject({ tokens: [], count: 0 });
    expect(await (await post("/detokenize", { tokens: [] })).json()).toEqual({ prompt: "" });
  });

  test("tell what a harness needs of the tokenizer", async () => {
    const info = await testGateway().fetch("/tokenizer_info", { headers: { authorization: "" } });
    expect(await info.json()).toMatchObject({
      bos_token: "<|im_start|>",
      eos_token: "<|im_end|>",
      pad_token: "<|im_end|>",
      chat_template: expect.stringContaining("add_generation_prompt"),
      tokenizer_class: expect.any(String),
      model_max_length: 8192,
    });
  });

  test("check a key that is sent", async () => {
    expect((await post("/tokenize", { prompt: "a" }, "Bearer sk-test-one")).status).toBe(200);
    expect((await post("/tokenize", { prompt: "a" }, "Bearer sk-wrong")).status).toBe(401);
    expect((await testGateway().fetch("/tokenizer_info", { headers: { authorization: "Bearer x" } })).status).toBe(401);
  });

  test.each([
    ["/tokenize", {}, "prompt", "missing_required_parameter"],
    ["/tokenize", { prompt: ["a"] }, "prompt", "invalid_type"],
    ["/tokenize", { prompt: "a", model: "gpt-5" }, "model", "model_not_found"],
    ["/tokenize", { prompt: "a".repeat(1_000_001) }, "prompt", "invalid_value"],
    ["/tokenize", { prompt: "a".repeat(100_000) }, "prompt", "invalid_value"],
    ["/detokenize", {}, "tokens", "missing_required_parameter"],
    ["/detokenize", { tokens: [5, "a"] }, "tokens.1", "invalid_type"],
    ["/detokenize", { tokens: [5, -1] }, "tokens.1", "invalid_type"],
    ["/detokenize", { tokens: [5, 49152] }, "tokens.1", "invalid_value"],
  ])("%s refuses %j", async (path, body, param, code) => {
    expect(await errorOf(await post(path, body))).toMatchObject({ param, code });
  });
});
