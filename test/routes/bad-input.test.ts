import { describe, expect, test } from "vitest";
import type { ReplicaStatus } from "../../src/replica/protocol.ts";
import { end, errorOf, ready, saying, standIn, testGateway, tokens, USER } from "./gateway.ts";

interface Case {
  readonly name: string;
  readonly body: object;
  readonly param: string | null;
  readonly code: string;
  readonly says?: RegExp;
}

const user = (content: unknown) => ({ messages: [{ role: "user", content }] });
const invalid = (param: string, code: string, ...bodies: object[]): Case[] =>
  bodies.map((body) => ({ name: `${param}: ${JSON.stringify(body).slice(0, 80)}`, body, param, code }));

const CASES: readonly Case[] = [
  ...invalid("messages", "missing_required_parameter", { messages: undefined }),
  ...invalid("messages", "invalid_type", { messages: "Hi" }, { messages: null }, { messages: {} }),
  ...invalid("messages", "invalid_value", { messages: [] }),
  ...invalid("messages.0", "invalid_type", { messages: ["Hi"] }, { messages: [null] }, { messages: [[]] }),
  ...invalid("messages.0.role", "missing_required_parameter", { messages: [{ content: "Hi" }] }),
  ...invalid(
    "messages.1.role",
    "invalid_value",
    { messages: [...USER, { role: "wizard", content: "Hi" }] },
    { messages: [...USER, { role: 3, content: "Hi" }] },
  ),
  ...invalid("messages.0.content", "missing_required_parameter", { messages: [{ role: "user" }] }),
  ...invalid("messages.0.content", "invalid_type", user(null), user(5), user({})),
  ...invalid("messages.0.content", "invalid_value", user([])),
  ...invalid("messages.0.content.0", "invalid_type", user(["Hi"]), user([null])),
  ...invalid("messages.0.content.0.text", "missing_required_parameter", user([{ type: "text" }])),
  ...invalid(
    "messages.0.content.1.text",
    "invalid_type",
    user([
      { type: "text", text: "a" },
      { type: "text", text: 1 },
    ]),
  ),
  {
    ...(invalid(
      "messages.0.content.0.type",
      "invalid_value",
      user([{ type: "image_url", image_url: { url: "x" } }]),
    )[0] as Case),
    says: /'image_url'.*not supported/,
  },
  ...invalid("model", "missing_required_parameter", { model: undefined }),
  ...invalid("model", "invalid_type", { model: 7 }, { model: null }),
  ...invalid("temperature", "invalid_value", { temperature: -0.1 }, { temperature: 2.1 }),
  ...invalid("temperature", "invalid_type", { temperature: "hot" }, { temperature: true }),
  ...invalid("top_p", "invalid_value", { top_p: -1 }, { top_p: 1.01 }),
  ...invalid("max_tokens", "invalid_value", { max_tokens: 0 }, { max_tokens: -5 }),
  ...invalid("max_tokens", "invalid_type", { max_tokens: 1.5 }, { max_tokens: "9" }),
  ...invalid("max_completion_tokens", "invalid_value", { max_completion_tokens: 0 }),
  ...invalid("max_tokens", "invalid_value", { max_tokens: 4, max_completion_tokens: 5 }),
  ...invalid("stop", "invalid_type", { stop: 4 }, { stop: {} }),
  ...invalid("stop", "invalid_value", { stop: "" }, { stop: ["1", "2", "3", "4", "5"] }),
  ...invalid("stop.1", "invalid_value", { stop: ["a", ""] }),
  ...invalid("tools.0.type", "invalid_value", { tools: [{ type: { toString: null }, function: { name: "f" } }] }),
  ...invalid("seed", "invalid_type", { seed: "1" }),
  ...invalid("seed", "invalid_value", { seed: 1.5 }, { seed: 2 ** 64 }, { seed: -(2 ** 65) }),
  ...invalid("stream", "invalid_type", { stream: "yes" }),
  ...invalid("stream_options", "invalid_value", { stream_options: { include_usage: true } }),
  ...invalid("stream_options", "invalid_type", { stream: true, stream_options: 1 }),
  ...invalid("n", "invalid_value", { n: 0 }, { n: 17 }),
  ...invalid("n", "invalid_type", { n: "2" }),
  ...invalid("presence_penalty", "invalid_value", { presence_penalty: 2.1 }),
  ...invalid("frequency_penalty", "invalid_value", { frequency_penalty: -3 }),
  ...invalid("logit_bias.50256", "invalid_value", { logit_bias: { "50256": 101 } }),
  ...invalid("top_logprobs", "invalid_value", { top_logprobs: 3 }, { logprobs: true, top_logprobs: 21 }),
  ...Object.entries({
    modalities: ["text", "audio"],
    audio: { voice: "alloy", format: "mp3" },
    web_search_options: {},
    store: true,
    service_tier: "flex",
  }).flatMap(([name, value]) => invalid(name, "unsupported_parameter", { [name]: value })),
];

describe("400, with the field as param, for", () => {
  test.each(CASES)("$name", async ({ body, param, code, says }) => {
    const gateway = testGateway();
    const response = await gateway.chat(body);
    expect(response.status).toBe(400);
    const error = await errorOf(response);
    expect(error).toMatchObject({ param, code, type: "invalid_request_error" });
    expect(error.message).toContain(param);
    if (says) expect(error.message).toMatch(says);
    expect(gateway.replica.requests).toEqual([]);
  });
});

describe("accepts", () => {
  const harmless: object[] = [
    { n: 1, tools: [], tool_choice: "none", response_format: { type: "text" }, logprobs: false, logit_bias: {} },
    { presence_penalty: 0, frequency_penalty: 0, modalities: ["text"], parallel_tool_calls: true, user: "u" },
    { temperature: null, top_p: null, max_tokens: null, stop: null, seed: null, stream: null, tools: null, n: null },
    { unknown_field: { deep: [1, 2, 3] }, constructor: 1, metadata: { a: "b" }, store: false },
    { max_tokens: 3, max_completion_tokens: 3, stop: [], temperature: 2, top_p: 0, seed: -1 },
    {
      messages: [
        { role: "developer", content: "Be brief." },
        { role: "user", content: [{ type: "text", text: "Hi" }], name: "ann" },
      ],
    },
    { messages: [{ role: "user", content: "" }] },
    { messages: [{ role: "user", content: "lone \ud83d surrogate" }] },
  ];
  test.each(harmless)("%j", async (body) => {
    const response = await testGateway(await saying("Hello")).chat(body);
    expect(response.status).toBe(200);
  });

  test("developer as system, and parts joined by line breaks", async () => {
    const gateway = testGateway();
    const parts = [
      { type: "text", text: "a" },
      { type: "text", text: "b" },
    ];
    await gateway.chat({ messages: [{ role: "developer", content: parts }, ...USER] });
    await gateway.chat({ messages: [{ role: "system", content: "a\nb" }, ...USER] });
    const [first, second] = gateway.replica.requests;
    expect(first?.promptIds).toEqual(second?.promptIds);
  });
});

describe("the body", () => {
  const post = (body: BodyInit | null, headers: Record<string, string> = { "content-type": "application/json" }) =>
    testGateway().fetch("/v1/chat/completions", { method: "POST", headers, body });

  test.each([
    "",
    "{",
    "{'a': 1}",
    "nonsense",
    '{"model": }',
    "\u0000",
  ])("that is not JSON gets 400: %j", async (body) => {
    const response = await post(body);
    expect(response.status).toBe(400);
    expect(await errorOf(response)).toMatchObject({ code: "invalid_json", param: null });
  });

  test.each(["null", "[]", '"text"', "42"])("that is JSON but no object gets 400: %s", async (body) => {
    const response = await post(body);
    expect(response.status).toBe(400);
    expect((await errorOf(response)).code).toBe("invalid_type");
  });

  test("that is not UTF-8 gets 400", async () => {
    const response = await post(new Uint8Array([0x22, 0xff, 0x22]));
    expect(response.status).toBe(400);
    expect((await errorOf(response)).code).toBe("invalid_json");
  });

  test.each([
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/jsonp",
    "",
  ])("of type %j gets 415", async (type) => {
    const response = await post(new TextEncoder().encode("{}"), type ? { "content-type": type } : {});
    expect(response.status).toBe(415);
    expect((await errorOf(response)).code).toBe("unsupported_media_type");
  });

  test("of type application/json; charset=utf-8 is read", async () => {
    const response = await post("{}", { "content-type": "Application/JSON; charset=utf-8" });
    expect((await errorOf(response)).code).toBe("missing_required_parameter");
  });

  const large = new Uint8Array(4 * 1024 * 1024 + 1).fill(0x20);
  test("over 4 MiB gets 413", async () => {
    const response = await post(large);
    expect(response.status).toBe(413);
    expect((await errorOf(response)).code).toBe("request_too_large");
  });

  test("over 4 MiB without a length gets 413, though it never ends", async () => {
    let sent = 0;
    const body = new ReadableStream({
      pull(controller) {
        sent++;
        controller.enqueue(large.slice(0, 1 << 20));
      },
    });
    const response = await post(body);
    expect(response.status).toBe(413);
    expect(sent).toBeLessThan(40);
  });

  test.each([
    ["deep arrays", `{"messages": ${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}}`],
    ["deep objects", `${'{"a":'.repeat(500_000)}1${"}".repeat(500_000)}`],
    ["many empty objects", `{"messages": [${"{},".repeat(1_000_000)}{}]}`],
    ["unclosed arrays", "[".repeat(4_000_000)],
  ])("of %s gets 400 without becoming objects", async (_name, body) => {
    const response = await post(body);
    expect(response.status).toBe(400);
    expect((await errorOf(response)).code).toBe("invalid_json");
  });

  test("with brackets and commas inside strings is fine", async () => {
    const response = await testGateway().chat({ messages: [{ role: "user", content: `\\"${'[{,\\"'.repeat(1000)}` }] });
    expect(response.status).toBe(200);
  });
});

describe("the context", () => {
  const fits = "This model's maximum context length is 8192 tokens. However, ";

  test("that the messages exceed is named with both numbers", async () => {
    const response = await testGateway().chat(user(" word".repeat(9000)));
    expect(response.status).toBe(400);
    expect(await errorOf(response)).toMatchObject({
      code: "context_length_exceeded",
      param: "messages",
      // 9000 words, and 30 tokens of the template.
      message: `${fits}your messages resulted in 9030 tokens. Please reduce the length of the messages.`,
    });
  });

  test.each([
    ["letters", "a".repeat(4_000_000)],
    ["spaces", " ".repeat(600_000)],
    ["many words", "7 ".repeat(300_000)],
  ])("that %s exceed by far is refused at once", async (_name, content) => {
    const started = performance.now();
    const response = await testGateway().chat(user(content));
    expect(response.status).toBe(400);
    expect((await errorOf(response)).message).toMatch(/characters; at most 131072 can be read/);
    expect(performance.now() - started).toBeLessThan(3000);
  });

  test.each([
    [1_600, "context_length_exceeded", /resulted in \d+ tokens/],
    [6_000, "context_length_exceeded", /more turns than the chat template/],
    [20_000, "invalid_value", /more in it than one request may have/],
  ])("that %i messages exceed is refused", async (length, code, message) => {
    const response = await testGateway().chat({
      messages: Array.from({ length }, () => ({ role: "user", content: "a" })),
    });
    const error = await errorOf(response);
    expect(error).toMatchObject({ code, param: "messages" });
    expect(error.message).toMatch(message);
  });

  test("that as many short messages as it has room for do not exceed is answered", async () => {
    const messages = Array.from({ length: 1_300 }, () => ({ role: "user", content: "a" }));
    expect((await testGateway().chat({ messages, max_tokens: 1 })).status).toBe(200);
  });

  test("that leaves less room than max_tokens asks for lowers it, and the reply's warning says so", async () => {
    const gateway = testGateway([...tokens([19556]), { type: "end", reason: "length" }]);
    const response = await gateway.chat({ max_tokens: 8192 });
    expect(response.status).toBe(200);
    expect(response.headers.get("x-franken-warning")).toBe(
      "max_tokens lowered from 8192 to 8161, which is what 31 tokens of prompt leave of 8192",
    );
    expect(await response.json()).toMatchObject({ choices: [{ finish_reason: "length" }] });
    expect(gateway.replica.requests[0]?.maxTokens).toBe(8161);
    const fitting = await gateway.chat({ max_tokens: 8161 });
    expect(fitting.headers.get("x-franken-warning")).toBeNull();
  });

  test("that the replica has less room for than was thought is warned of too, whole or streamed", async () => {
    for (const stream of [false, true]) {
      const gateway = testGateway([{ type: "start", cached: 0, maxTokens: 50 }, ...tokens([19556]), end]);
      const response = await gateway.chat({ max_tokens: 4096, stream });
      expect(response.headers.get("x-franken-warning")).toBe("the reply's length lowered from 4096 to 50");
      await response.text();
      const byDefault = await gateway.chat({ stream });
      expect(byDefault.headers.get("x-franken-warning")).toBeNull();
      await byDefault.text();
    }
  });

  test("is held against what the replica has room for, once it has told", async () => {
    const status = (): ReplicaStatus => ({ ...ready, capacities: { "smollm2-135m": 100 } });
    const gateway = testGateway(standIn([end], status));
    await gateway.chat({});
    const lowered = await gateway.chat({ max_tokens: 4096 });
    expect(lowered.headers.get("x-franken-warning")).toContain("max_tokens lowered from 4096 to 69");
    expect((await gateway.chat(user(" word".repeat(90)))).status).toBe(400);
  });

  test("may be filled to the last token", async () => {
    const gateway = testGateway();
    expect((await gateway.chat({ max_tokens: 8192 - 31 })).status).toBe(200);
    expect((await gateway.chat(user(" word".repeat(8192 - 30)))).status).toBe(400);
    expect((await gateway.chat(user(" word".repeat(8192 - 31)))).status).toBe(200);
    expect(gateway.replica.requests.map(({ maxTokens }) => maxTokens)).toEqual([8161, 1]);
  });
});

test("an unknown model gets 404", async () => {
  const response = await testGateway().chat({ model: "gpt-5" });
  expect(response.status).toBe(404);
  expect(await errorOf(response)).toMatchObject({ code: "model_not_found", param: "model" });
});
