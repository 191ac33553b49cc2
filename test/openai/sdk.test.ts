// OpenAI's own client against the app: what it makes of replies, streams and errors is the contract.
import OpenAI from "openai";
import { expect, test } from "vitest";
import { KEY, saying, type TestGateway, testGateway, tokens, USER } from "../routes/gateway.ts";

const clientOf = (gateway: TestGateway, apiKey = KEY): OpenAI =>
  new OpenAI({
    apiKey,
    baseURL: "https://gateway.test/v1",
    maxRetries: 2,
    fetch: (input, init) => gateway.fetch(new URL(String(input)).pathname, init as RequestInit),
  });
const request = { model: "smollm2-135m", messages: [{ role: "user" as const, content: USER[0]?.content ?? "" }] };

test("reads a whole reply", async () => {
  const { data, request_id: requestId } = await clientOf(testGateway(await saying("Rome.")))
    .chat.completions.create(request)
    .withResponse();
  expect(data.choices[0]?.message.content).toBe("Rome.");
  expect(data.usage?.total_tokens).toBe(33);
  expect(requestId).toMatch(/^req_/);
});

test("reads a stream, comments and all", async () => {
  const stream = await clientOf(
    testGateway([{ type: "wait" }, ...(await saying("Rome is it 👍"))]),
  ).chat.completions.create({
    ...request,
    stream: true,
    stream_options: { include_usage: true },
  });
  let content = "";
  let total: number | undefined;
  for await (const chunk of stream) {
    content += chunk.choices[0]?.delta.content ?? "";
    total = chunk.usage?.total_tokens;
  }
  expect(content).toBe("Rome is it 👍");
  expect(total).toBeGreaterThan(31);
});

test("reads completions, whole and streamed", async () => {
  const client = clientOf(testGateway(await saying(" Rome 👍")));
  const ask = { model: "smollm2-135m", prompt: ["The capital of Italy is", "Where?"], echo: true, max_tokens: 9 };
  const whole = await client.completions.create(ask);
  expect(whole.choices.map(({ text }) => text)).toEqual(["The capital of Italy is Rome 👍", "Where? Rome 👍"]);
  const texts = ["", ""];
  for await (const { choices } of await client.completions.create({ ...ask, stream: true })) {
    for (const { index, text } of choices) texts[index] += text;
  }
  expect(texts).toEqual(whole.choices.map(({ text }) => text));
});

test("throws on an error event", async () => {
  const gateway = testGateway([...tokens([19556]), { type: "error", code: "out_of_memory", message: "why" }]);
  const stream = await clientOf(gateway).chat.completions.create({ ...request, stream: true });
  const read = async () => {
    for await (const chunk of stream) expect(chunk.object).toBe("chat.completion.chunk");
  };
  await expect(read()).rejects.toMatchObject({ code: "out_of_memory" });
});

test("retries when it should, and only then", async () => {
  const failing = (code: "overloaded" | "deadline_exceeded") => testGateway([{ type: "error", code, message: "why" }]);
  const overloaded = failing("overloaded");
  await expect(clientOf(overloaded).chat.completions.create(request)).rejects.toMatchObject({ status: 503 });
  expect(overloaded.replica.requests).toHaveLength(3);
  const late = failing("deadline_exceeded");
  await expect(clientOf(late).chat.completions.create(request)).rejects.toMatchObject({ status: 504 });
  expect(late.replica.requests).toHaveLength(1);
});

test("maps refusals to its error classes", async () => {
  const gateway = testGateway();
  await expect(clientOf(gateway, "sk-wrong").models.list()).rejects.toThrow(OpenAI.AuthenticationError);
  await expect(clientOf(gateway).models.retrieve("gpt-5")).rejects.toThrow(OpenAI.NotFoundError);
  await expect(clientOf(gateway).chat.completions.create({ ...request, modalities: ["audio"] })).rejects.toMatchObject({
    status: 400,
    code: "unsupported_parameter",
    param: "modalities",
  });
});

test("lists the models", async () => {
  const ids: string[] = [];
  for await (const model of clientOf(testGateway()).models.list()) ids.push(model.id);
  expect(ids).toContain("smollm2-135m");
});
