// What clients send as they are: constants and wishes that mean nothing here, and the forms that strict readers would refuse.
import { describe, expect, it } from "vitest";
import { parseChatRequest } from "../../src/openai/index.ts";
import codex from "../fixtures/codex/request.json";
import { end, saying, sharedTokenizer, type TestGateway, testGateway, USER } from "./gateway.ts";

const post = (gateway: TestGateway, path: string, body: object | string): Promise<Response> =>
  gateway.fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
const promptOf = ({ replica }: TestGateway, index = 0): string =>
  sharedTokenizer().decode(replica.requests[index]?.promptIds ?? []);
const warningOf = (response: Response): string | null => response.headers.get("x-franken-warning");

describe("seed", () => {
  const seeded = async (seed: string, path = "/v1/chat/completions") => {
    const gateway = testGateway();
    const asked = { "/v1/responses": '"input":"Hi"', "/v1/completions": '"prompt":"Hi"' }[path];
    const body = `{"model":"smollm2-135m",${asked ?? `"messages":${JSON.stringify(USER)}`},"seed":${seed}}`;
    const response = await post(gateway, path, body);
    return { status: response.status, seed: gateway.replica.requests[0]?.seed };
  };

  it.each(["/v1/chat/completions", "/v1/completions", "/v1/responses"])("keeps all 64 bits in %s", async (path) => {
    expect(await seeded("9223372036854775807", path)).toEqual({ status: 200, seed: 9223372036854775807n });
    expect(await seeded("-9223372036854775808", path)).toEqual({ status: 200, seed: -9223372036854775808n });
    expect(await seeded("9007199254740993", path)).toEqual({ status: 200, seed: 9007199254740993n });
    expect(await seeded("9007199254740991", path)).toEqual({ status: 200, seed: 9007199254740991 });
    expect(await seeded("-1", path)).toEqual({ status: 200, seed: -1 });
  });

  it("is refused beyond 64 bits", async () => {
    expect((await seeded("9223372036854775808")).status).toBe(400);
    expect((await seeded("-9223372036854775809")).status).toBe(400);
    expect((await seeded("1e300")).status).toBe(400);
  });

  it("leaves a field of that name elsewhere in the body alone", async () => {
    const gateway = testGateway();
    const schema = { type: "object", properties: { seed: { type: "integer" } }, required: ["seed"] };
    const format = JSON.stringify({ type: "json_schema", json_schema: { name: "s", schema } });
    const metadata = '"tools":[{"type":"custom","seed":12345678901234567890}]';
    const body = `{"model":"smollm2-135m","messages":${JSON.stringify(USER)},"response_format":${format},${metadata}}`;
    expect((await post(gateway, "/v1/chat/completions", body)).status).toBe(200);
    expect(typeof gateway.replica.requests[0]?.seed).toBe("number");
  });
});

describe("wishes that no variant knows", () => {
  it("are left out of a chat completion, and its warning names them", async () => {
    const gateway = testGateway(await saying("Rome."));
    const response = await gateway.chat({
      reasoning_effort: "high",
      verbosity: "low",
      tools: [{ type: "custom", custom: { name: "patch" } }, { type: "web_search" }, { type: "custom" }],
    });
    expect(response.status).toBe(200);
    expect(warningOf(response)).toBe(
      "without effect here: reasoning_effort, verbosity, tools of type custom, web_search",
    );
    expect(promptOf(gateway)).not.toContain("patch");
  });

  it("are not warned of where they ask for nothing", async () => {
    const response = await testGateway().chat({ reasoning_effort: "none", verbosity: "medium", tools: [] });
    expect(warningOf(response)).toBeNull();
  });

  it("cannot put anything but text into the header", async () => {
    const tools = Array.from({ length: 20 }, (_, i) => ({ type: `a\r\nx-evil: ${i} \u4e00${"b".repeat(5000)}` }));
    const response = await testGateway().chat({ tools });
    expect(response.status).toBe(200);
    expect(response.headers.get("x-evil")).toBeNull();
    expect(warningOf(response)?.length).toBeLessThanOrEqual(1000);
    expect(warningOf(response)).toMatch(/^[ -~]+$/);
  });

  it("name a tool at fault by its place in the request, beside tools that are left out", async () => {
    const fine = { type: "function", function: { name: "f" } };
    const chat = await testGateway().chat({ tools: [{ type: "custom" }, fine, fine] });
    expect(await chat.json()).toMatchObject({ error: { param: "tools.2.function.name" } });
    const strict = { type: "function", name: "f", strict: true, parameters: { type: "object", not: {} } };
    const body = { model: "smollm2-135m", input: "Hi", tools: [{ type: "web_search" }, strict] };
    const response = await post(testGateway(), "/v1/responses", body);
    expect(await response.json()).toMatchObject({ error: { param: "tools.1.parameters" } });
  });
});

describe("what Codex sends", () => {
  it("is answered, and the warning names what had no effect", async () => {
    const gateway = testGateway(await saying("There is README.md."));
    const response = await post(gateway, "/v1/responses", codex);
    expect(response.status).toBe(200);
    expect(warningOf(response)).toBe(
      "without effect here: reasoning.summary, text.verbosity, tools of type custom, namespace, web_search, items of type reasoning",
    );
    const events = await response.text();
    expect(events).toContain("event: response.completed\n");
    expect(events).toContain("There is README.md.");
    const prompt = promptOf(gateway);
    expect(prompt).toContain("Answer briefly.\n\n<permissions>");
    expect(prompt).toContain("exec_command");
    expect(prompt).not.toContain("spawn_agent");
    expect(prompt.match(/<\|im_start\|>system/g) ?? []).toHaveLength(prompt.includes("<|im_start|>") ? 1 : 0);
  });

  it("is refused where it demands a tool that is not here", async () => {
    for (const tool_choice of [{ type: "custom", name: "apply_patch" }, { type: "web_search" }]) {
      const response = await post(testGateway(), "/v1/responses", { ...codex, tool_choice });
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: { param: "tool_choice.type" } });
    }
  });
});

describe("messages", () => {
  it("of system and developer at the start are one, in chat as in responses", async () => {
    const chat = testGateway();
    const messages = [
      { role: "system", content: "Be kind." },
      { role: "developer", content: "Be brief." },
      { role: "user", content: "Hi" },
    ];
    await chat.chat({ messages });
    const responses = testGateway();
    await post(responses, "/v1/responses", { model: "smollm2-135m", input: messages });
    expect(chat.replica.requests[0]?.promptIds).toEqual(responses.replica.requests[0]?.promptIds);
    const one = testGateway();
    await one.chat({ messages: [{ role: "system", content: "Be kind.\n\nBe brief." }, messages[2]] });
    expect(chat.replica.requests[0]?.promptIds).toEqual(one.replica.requests[0]?.promptIds);
  });

  it("may hold a tool's empty result", async () => {
    const call = { id: "call_1", type: "function", function: { name: "f", arguments: "{}" } };
    const results = [[], ""].map((content) => [
      ...USER,
      { role: "assistant", tool_calls: [call] },
      { role: "tool", tool_call_id: "call_1", content },
    ]);
    const gateway = testGateway();
    for (const messages of results) expect((await gateway.chat({ messages })).status).toBe(200);
    for (const output of [[], ""]) {
      const called = { type: "function_call", call_id: "call_1", name: "f", arguments: "{}" };
      const input = [...USER, called, { type: "function_call_output", call_id: "call_1", output }];
      expect((await post(gateway, "/v1/responses", { model: "smollm2-135m", input })).status).toBe(200);
    }
    const [first, ...others] = gateway.replica.requests.map(({ promptIds }) => promptIds);
    for (const other of others) expect(other).toEqual(first);
  });
});

describe("POST /v1/responses/input_tokens", () => {
  it("counts what a response of the same request would read, and generates nothing", async () => {
    const gateway = testGateway();
    const ask = { model: "smollm2-135m", input: codex.input, tools: codex.tools, instructions: "Be brief." };
    const counted = await post(gateway, "/v1/responses/input_tokens", { ...ask, max_output_tokens: 5 });
    expect(counted.status).toBe(200);
    expect(gateway.replica.requests).toEqual([]);
    await post(gateway, "/v1/responses", ask);
    const input_tokens = gateway.replica.requests[0]?.promptIds.length;
    expect(await counted.json()).toEqual({ object: "response.input_tokens", input_tokens });
    const byDefault = await post(gateway, "/v1/responses/input_tokens", { ...ask, model: undefined });
    expect(await byDefault.json()).toMatchObject({ input_tokens });
  });

  it("refuses what a response would be refused for", async () => {
    const path = "/v1/responses/input_tokens";
    for (const body of [{}, [], null, { input: [] }, { input: "Hi", model: "gpt-5" }]) {
      expect((await post(testGateway(), path, body as object)).status).toBeGreaterThanOrEqual(400);
    }
    const long = await post(testGateway(), path, { input: " word".repeat(9000) });
    expect(await long.json()).toMatchObject({ error: { code: "context_length_exceeded" } });
  });
});

it("an empty user does not hide the safety identifier", async () => {
  const asked = { model: "auto", messages: USER, user: "", safety_identifier: "reader-1" };
  expect((await parseChatRequest(asked)).ask.user).toBe("reader-1");
  expect((await parseChatRequest({ ...asked, user: "me" })).ask.user).toBe("me");
  expect((await parseChatRequest({ ...asked, safety_identifier: "" })).ask.user).toBeUndefined();
});

it("truncation auto drops items for the reply's length, and shortens the reply only where nothing is left to drop", async () => {
  const gateway = testGateway([end]);
  const input = Array.from({ length: 4 }, (_, i) => ({ role: "user", content: `${i}${" word".repeat(2000)}` }));
  const ask = { model: "smollm2-135m", truncation: "auto", input };
  await post(gateway, "/v1/responses", { ...ask, max_output_tokens: 3000 });
  const shortened = await post(gateway, "/v1/responses", { ...ask, max_output_tokens: 8000 });
  expect(gateway.replica.requests.map(({ maxTokens }) => maxTokens)[0]).toBe(3000);
  expect(gateway.replica.requests[1]?.maxTokens).toBeGreaterThan(6000);
  expect(warningOf(shortened)).toMatch(/^max_output_tokens lowered from 8000 to 6\d{3}/);
});
