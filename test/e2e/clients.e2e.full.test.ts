// OpenAI's SDK and the AI SDK with what they send by themselves, against the process that `npm start` runs.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";
import OpenAI from "openai";
import type { ResponseCreateParamsStreaming } from "openai/resources/responses/responses";
import { describe, expect, it } from "vitest";
import { freePort, startCommand, startServer } from "../../bench/service-process.ts";
import codex from "../fixtures/codex/request.json";
import { service } from "./service.ts";

const MODEL = "smollm2-135m";
const messages = [{ role: "user" as const, content: "What is the capital of Italy?" }];

const server = service();

describe("OpenAI's SDK", () => {
  it("streams Codex's request to its end, and is told what had no effect", async () => {
    const asked = { ...codex, max_output_tokens: 24, temperature: 0 } as unknown as ResponseCreateParamsStreaming;
    const { data: stream, response } = await server.openai.responses.create(asked).withResponse();
    const types: string[] = [];
    for await (const event of stream) types.push(event.type);
    expect(types[0]).toBe("response.created");
    expect(types.at(-1)).toMatch(/^response\.(completed|incomplete)$/);
    expect(response.headers.get("x-franken-warning")).toMatch(
      /^without effect here: reasoning\.summary, .*namespace, web_search/,
    );
  });

  it("gets the longest answer there is room for when it asks for more", async () => {
    const asked = { model: MODEL, prompt: "word ".repeat(2100), max_tokens: 4096, logit_bias: { 0: -100, 2: -100 } };
    const { data, response } = await server.openai.completions.create(asked).withResponse();
    expect(response.headers.get("x-franken-warning")).toMatch(/lowered from 4096 to \d+/);
    expect(data.choices[0]?.finish_reason).toBe("length");
    expect(data.usage?.total_tokens).toBeLessThan(4096);
  });

  it("is told that a prompt does not fit", async () => {
    const asked = { model: MODEL, prompt: "word ".repeat(9000), max_tokens: 1 };
    await expect(server.openai.completions.create(asked)).rejects.toMatchObject({
      status: 400,
      code: "context_length_exceeded",
    });
  });

  it("gets one text for one seed of 64 bits, and another for its neighbour", async () => {
    // The SDK writes numbers, which have 53 bits.
    const ask = async (seed: string): Promise<string> => {
      const body = JSON.stringify({ model: MODEL, messages, max_tokens: 24, temperature: 2 });
      const response = await fetch(`${server.url}/v1/chat/completions`, {
        method: "POST",
        headers: { authorization: `Bearer ${server.key}`, "content-type": "application/json" },
        body: `${body.slice(0, -1)},"seed":${seed}}`,
      });
      const { choices } = (await response.json()) as OpenAI.ChatCompletion;
      return choices[0]?.message.content as string;
    };
    const [first, again, neighbour] = [
      await ask("9223372036854775806"),
      await ask("9223372036854775806"),
      await ask("9223372036854775807"),
    ];
    expect(again).toBe(first);
    expect(neighbour).not.toBe(first);
  });

  it("counts the tokens of a request as the response then does", async () => {
    const asked = { model: MODEL, input: messages, instructions: "Be brief." };
    const counted = await server.openai.responses.inputTokens.count(asked);
    const { usage } = await server.openai.responses.create({ ...asked, max_output_tokens: 1 });
    expect(counted.input_tokens).toBe(usage?.input_tokens);
    expect(usage?.input_tokens_details).toMatchObject({ cache_write_tokens: 0 });
  });

  it("throws for a whole reply that breaks off, whose answer is not told in part", async () => {
    const port = await freePort();
    const hurried = await startServer(await startCommand(), port, {
      REQUEST_DEADLINE_MS: "1500",
    });
    try {
      const asked = { model: MODEL, messages, max_tokens: 4000, logit_bias: { 2: -100 } };
      const whole = new OpenAI({ baseURL: `${hurried.url}/v1`, apiKey: hurried.key, maxRetries: 0 });
      await expect(whole.chat.completions.create(asked)).rejects.toThrow();
    } finally {
      await hurried.stop();
    }
  });
});

describe("the AI SDK", () => {
  const model = () =>
    createOpenAICompatible({ name: "franken", baseURL: `${server.url}/v1`, apiKey: server.key })(MODEL);

  it("gets text, whole and streamed, with its reasoning effort and a constant length", async () => {
    const asked = {
      model: model(),
      prompt: messages[0]?.content as string,
      temperature: 0,
      seed: 1,
      maxRetries: 0,
      maxOutputTokens: 100_000,
      stopSequences: ["."],
      providerOptions: { franken: { reasoningEffort: "high" } },
    };
    const whole = await generateText(asked);
    expect(whole.text).toMatch(/\w/);
    expect(whole.response.headers?.["x-franken-warning"]).toMatch(/reasoning_effort.*max_tokens lowered from 100000/);
    const streamed = streamText(asked);
    expect(await streamed.text).toBe(whole.text);
  });
});
