// The process that `npm start` runs, on the real weights, through the unmodified OpenAI SDK.
import OpenAI from "openai";
import { describe, expect, it } from "vitest";
import { service } from "./service.ts";

const server = service();

const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "What is the capital of Italy?" }];
const greedy = { model: "smollm2-135m", messages, temperature: 0, max_tokens: 80 } as const;

describe("a chat completion", () => {
  it("answers, and counts its tokens", async () => {
    const completion = await server.openai.chat.completions.create(greedy);
    expect(completion.choices[0]?.message.content).toMatch(/Ital/);
    expect(completion.choices[0]?.finish_reason).toBe("stop");
    expect(completion.usage?.prompt_tokens).toBe(37);
    expect(completion.usage?.total_tokens).toBe(37 + completion.usage!.completion_tokens);
  });

  it("streams the same text, with one finish_reason and a usage chunk only when asked for", async () => {
    const whole = await server.openai.chat.completions.create(greedy);
    for (const includeUsage of [true, false]) {
      const stream = await server.openai.chat.completions.create({
        ...greedy,
        stream: true,
        ...(includeUsage ? { stream_options: { include_usage: true } } : {}),
      });
      let text = "";
      let finishes = 0;
      let usage: OpenAI.CompletionUsage | null | undefined;
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? "";
        if (chunk.choices[0]?.finish_reason) finishes++;
        usage = chunk.usage ?? usage;
      }
      expect(text).toBe(whole.choices[0]?.message.content);
      expect(finishes).toBe(1);
      expect(usage).toEqual(includeUsage ? whole.usage : undefined);
    }
  });

  it("goes on with a lighter variant when it falls behind a budget that allows it", async () => {
    const story = {
      ...greedy,
      messages: [{ role: "user" as const, content: "Tell me a very long story about a ferry." }],
    };
    // The base cannot make 200 tokens in so short a time anywhere.
    const late = { ...story, max_tokens: 200, budget: { latency_ms: 300, downshift: true } };
    const completion = await server.openai.chat.completions.create(late);
    const { downshifts } = (completion as unknown as { franken: { downshifts: Record<string, unknown>[] } }).franken;
    expect(downshifts.length).toBeGreaterThan(0);
    for (const { variant, from_token } of downshifts) {
      expect(variant).toMatch(/^smollm2-135m-./);
      expect(from_token).toBeGreaterThan(0);
    }
    // Up to there it is the base's answer.
    const alone = await server.openai.chat.completions.create({
      ...story,
      max_tokens: Number(downshifts[0]?.from_token),
    });
    expect(completion.choices[0]?.message.content).toContain(alone.choices[0]?.message.content);
  });

  it("tells again what it was asked before with less to compute, and the same text", async () => {
    const long = {
      ...greedy,
      messages: [{ role: "user" as const, content: `${"word ".repeat(80)}\nHow many words?` }],
    };
    const first = await server.openai.chat.completions.create(long);
    const second = await server.openai.chat.completions.create(long);
    expect(first.usage?.prompt_tokens_details?.cached_tokens).toBe(0);
    expect(second.usage?.prompt_tokens_details?.cached_tokens).toBeGreaterThanOrEqual(96);
    expect(second.choices).toEqual(first.choices);
  });

  it("gives the same bytes for the same seed, also while others run, and others for another seed", async () => {
    const ask = (seed: number) =>
      server.openai.chat.completions
        .create({ ...greedy, temperature: 1.2, max_tokens: 16, seed })
        .then((completion) => completion.choices[0]?.message.content);
    const alone = await ask(7);
    const [again, other] = await Promise.all([ask(7), ask(8)]);
    expect(again).toBe(alone);
    expect(other).not.toBe(alone);
  });

  it("stops at a stop string without leaking it", async () => {
    const whole = (await server.openai.chat.completions.create(greedy)).choices[0]?.message.content ?? "";
    const stop = whole.slice(5, 10);
    const completion = await server.openai.chat.completions.create({ ...greedy, stop: [stop] });
    expect(completion.choices[0]?.finish_reason).toBe("stop");
    expect(completion.choices[0]?.message.content).toBe(whole.slice(0, whole.indexOf(stop)));
  });
});

describe("a reply that is held to a form", () => {
  const parameters = {
    type: "object",
    properties: { city: { enum: ["Rome", "Oslo"] }, days: { type: "integer", minimum: 1, maximum: 7 } },
    required: ["city", "days"],
    additionalProperties: false,
  };
  const city = expect.stringMatching(/^(Rome|Oslo)$/);

  it("is a call of a tool, in pieces as whole, and its result comes back in", async () => {
    const request = {
      ...greedy,
      temperature: 1.5,
      seed: 3,
      tool_choice: "required" as const,
      parallel_tool_calls: false,
      tools: [{ type: "function" as const, function: { name: "get_weather", strict: true, parameters } }],
    };
    const whole = await server.openai.chat.completions.create(request);
    const message = whole.choices[0]?.message as OpenAI.ChatCompletionMessage;
    const [call] = message.tool_calls as OpenAI.ChatCompletionMessageFunctionToolCall[];
    expect(message.content).toBeNull();
    expect(whole.choices[0]?.finish_reason).toBe("tool_calls");
    expect(JSON.parse(call?.function.arguments ?? "")).toEqual({ city, days: expect.any(Number) });
    let streamed = "";
    for await (const chunk of await server.openai.chat.completions.create({ ...request, stream: true })) {
      streamed += chunk.choices[0]?.delta.tool_calls?.[0]?.function?.arguments ?? "";
    }
    expect(streamed).toBe(call?.function.arguments);

    const result = { role: "tool" as const, tool_call_id: call?.id ?? "", content: '{"celsius": 21}' };
    const next = await server.openai.chat.completions.create({
      ...request,
      tool_choice: "none" as const,
      messages: [...messages, message, result],
    });
    expect(next.choices[0]?.message.content?.length).toBeGreaterThan(0);
  });

  it("is JSON of a schema", async () => {
    const completion = await server.openai.chat.completions.create({
      ...greedy,
      temperature: 2,
      seed: 4,
      response_format: { type: "json_schema", json_schema: { name: "trip", strict: true, schema: parameters } },
    });
    expect(JSON.parse(completion.choices[0]?.message.content ?? "")).toEqual({ city, days: expect.any(Number) });
  });
});

describe("the variants", () => {
  it("are listed, and answer by name", async () => {
    const ids: string[] = [];
    for await (const model of server.openai.models.list()) ids.push(model.id);
    expect(ids).toHaveLength(37);
    expect(ids).toContain("auto");
    for (const model of ["auto", ids.at(1), ids.at(-1)] as string[]) {
      const completion = await server.openai.chat.completions.create({ ...greedy, model, max_tokens: 3 });
      // `auto` is answered by the variant that it chose.
      expect(completion.model).toEqual(model === "auto" ? expect.stringMatching(/^smollm2-135m/) : model);
    }
  });

  it("differ: dropping sublayers changes what is said", async () => {
    const text = async (model: string) =>
      (await server.openai.chat.completions.create({ ...greedy, model, max_tokens: 12 })).choices[0]?.message.content;
    const texts = await Promise.all(
      ["smollm2-135m", "smollm2-135m-block-drop-6", "smollm2-135m-franken-0-7"].map(text),
    );
    expect(new Set(texts).size).toBe(3);
    expect(await text("smollm2-135m-franken-baseline")).toBe(texts[0]);
  });
});

describe("bad input", () => {
  const status = (change: object, openai = server.openai) =>
    openai.chat.completions.create({ ...greedy, ...change }).then(
      () => 200,
      (error: InstanceType<typeof OpenAI.APIError>) => ({ status: error.status, code: error.code, param: error.param }),
    );

  it("gets OpenAI's errors", async () => {
    expect(await status({ model: "gpt-9" })).toEqual({ status: 404, code: "model_not_found", param: "model" });
    const stranger = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "sk-wrong", maxRetries: 0 });
    expect(await status({}, stranger)).toMatchObject({ status: 401, code: "invalid_api_key" });
    expect(await status({ max_tokens: 0 })).toMatchObject({ status: 400, param: "max_tokens" });
    expect(await status({ messages: [{ role: "user", content: "word ".repeat(20_000) }] })).toMatchObject({
      status: 400,
      code: "context_length_exceeded",
    });
  });

  it("never brings it down", async () => {
    for (const body of ["", "{", "[]", "null", '{"model":1}', `{"messages":${"[".repeat(50_000)}`, "\u0000"]) {
      const response = await fetch(`${server.url}/v1/chat/completions`, {
        method: "POST",
        headers: { authorization: `Bearer ${server.key}`, "content-type": "application/json" },
        body,
      });
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: { type: "invalid_request_error" } });
    }
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
  });
});
