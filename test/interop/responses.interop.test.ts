// The Responses API through OpenAI's SDK and its typed helpers, against the process that `npm start` runs.
import OpenAI from "openai";
import { zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import type { ResponseStreamEvent } from "openai/resources/responses/responses";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { freePort, type Server, startCommand, startServer } from "../../bench/service-process.ts";

let server: Server;
let port: number;

beforeAll(async () => {
  port = await freePort();
  server = await startServer(await startCommand(), port);
});
afterAll(() => server?.stop());

const model = "smollm2-135m";
const question = { model, input: "What is the capital of Italy?", temperature: 0, max_output_tokens: 60 } as const;

describe("a response", () => {
  it("is created, retrieved, gone on from, listed and deleted", async () => {
    const { responses } = server.openai;
    const first = await responses.create({ ...question, metadata: { topic: "capitals" } });
    expect(first.output_text).toMatch(/Ital/);
    expect(first.status).toBe("completed");
    expect(first.usage?.total_tokens).toBe(first.usage!.input_tokens + first.usage!.output_tokens);
    expect((await responses.retrieve(first.id)).output).toEqual(first.output);

    const second = await responses.create({
      ...question,
      previous_response_id: first.id,
      input: "Repeat your last answer.",
    });
    expect(second.usage?.input_tokens).toBeGreaterThan(first.usage!.total_tokens);
    // The first one's prompt was there already.
    expect(second.usage?.input_tokens_details.cached_tokens).toBeGreaterThan(16);

    const items = [];
    for await (const item of responses.inputItems.list(second.id, { order: "asc", limit: 2 })) items.push(item);
    expect(items.map((item) => (item.type === "message" ? item.role : item.type))).toEqual([
      "user",
      "assistant",
      "user",
    ]);

    await responses.delete(first.id);
    await expect(responses.retrieve(first.id)).rejects.toThrow(OpenAI.NotFoundError);
    expect((await responses.retrieve(second.id)).id).toBe(second.id);
  });

  it("streams what it would say whole, event by event", async () => {
    const whole = await server.openai.responses.create(question);
    const stream = server.openai.responses.stream({
      ...question,
      include: ["message.output_text.logprobs"],
      top_logprobs: 2,
    });
    const events: ResponseStreamEvent[] = [];
    let text = "";
    stream.on("response.output_text.delta", ({ delta, snapshot, logprobs }) => {
      text += delta;
      expect(snapshot).toBe(text);
      for (const { top_logprobs: top } of logprobs) expect(top).toHaveLength(2);
    });
    for await (const event of stream) events.push(event);
    expect(events[0]?.type).toBe("response.created");
    expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, index) => index));
    const final = await stream.finalResponse();
    expect(final.output).toMatchObject([{ content: [{ text: whole.output_text }] }]);
    expect(text).toBe(whole.output_text);
    expect(final.usage?.output_tokens).toBe(whole.usage?.output_tokens);
  });

  it("says when it was cut, and keeps to a budget", async () => {
    const { data, response } = await server.openai.responses
      .create({
        ...question,
        model: "auto",
        max_output_tokens: 4,
        budget: { latency_ms: 60_000 },
      } as OpenAI.Responses.ResponseCreateParamsNonStreaming)
      .withResponse();
    expect(data).toMatchObject({ status: "incomplete", incomplete_details: { reason: "max_output_tokens" } });
    expect(data.model).toBe(response.headers.get("x-franken-variant"));
    expect(response.headers.get("x-franken-budget-ms")).toBe("60000");
  });

  it("gives errors that the SDK knows", async () => {
    const { responses } = server.openai;
    const demanded = { tools: [{ type: "web_search" as const }], tool_choice: { type: "web_search_preview" as const } };
    await expect(responses.create({ ...question, ...demanded })).rejects.toMatchObject({
      status: 400,
      param: "tool_choice.type",
    });
    await expect(responses.create({ ...question, previous_response_id: "resp_none" })).rejects.toMatchObject({
      status: 400,
      code: "previous_response_not_found",
    });
    await expect(responses.retrieve("resp_none")).rejects.toMatchObject({ status: 404, code: "response_not_found" });
  });
});

describe("structured output and tools", () => {
  const City = z.object({ city: z.string(), inhabitants: z.number(), sights: z.array(z.string()).max(3) });

  it("parses text that fits a zod schema, whole and streamed", async () => {
    const request = { ...question, max_output_tokens: 300, text: { format: zodTextFormat(City, "city") } };
    const parsed = await server.openai.responses.parse(request);
    expect(parsed.status).toBe("completed");
    expect(City.parse(parsed.output_parsed)).toEqual(JSON.parse(parsed.output_text));
    const streamed = await server.openai.responses.stream(request).finalResponse();
    expect(streamed.output_parsed).toEqual(parsed.output_parsed);
  });

  it("calls a function, takes its result and answers", async () => {
    const weather = zodResponsesFunction({
      name: "get_weather",
      description: "Tells the weather in a city.",
      parameters: z.object({ city: z.string(), unit: z.enum(["celsius", "fahrenheit"]) }),
    });
    const request = { ...question, input: "How is the weather in Rome?", max_output_tokens: 200, tools: [weather] };
    const asked = await server.openai.responses.parse({
      ...request,
      tool_choice: { type: "function", name: "get_weather" },
    });
    const [call] = asked.output;
    if (call?.type !== "function_call") throw new Error(`expected a call, not ${JSON.stringify(asked.output)}`);
    expect(JSON.parse(call.arguments)).toEqual({
      city: expect.any(String),
      unit: expect.stringMatching(/celsius|fahrenheit/),
    });
    const told = await server.openai.responses.create({
      ...request,
      tools: [],
      previous_response_id: asked.id,
      input: [{ type: "function_call_output", call_id: call.call_id, output: '{"sky": "clear", "degrees": 21}' }],
    });
    expect(told.output_text.length).toBeGreaterThan(0);

    const stream = server.openai.responses.stream({ ...request, tool_choice: "required", parallel_tool_calls: false });
    let name = "";
    let snapshot = "";
    stream.on("response.function_call_arguments.delta", (event) => {
      snapshot = event.snapshot;
    });
    stream.on("response.function_call_arguments.done", (event) => {
      name = event.name;
      expect(event.arguments).toBe(snapshot);
    });
    const final = await stream.finalResponse();
    expect(name).toBe("get_weather");
    expect(final.output).toHaveLength(1);
    expect(final.output[0]).toMatchObject({ type: "function_call", status: "completed", arguments: snapshot });
  });
});

describe("a background response", () => {
  const { retrieve, cancel } = {
    retrieve: (id: string) => server.openai.responses.retrieve(id),
    cancel: (id: string) => server.openai.responses.cancel(id),
  };
  const until = (id: string, ...statuses: string[]) =>
    vi.waitFor(
      async () => {
        const response = await retrieve(id);
        expect(statuses).toContain(response.status);
        return response;
      },
      { timeout: 60_000, interval: 100 },
    );
  const long = { ...question, input: "Tell a long story.", temperature: 1, max_output_tokens: 1_500, background: true };

  it("is queued, made and told", async () => {
    const whole = await server.openai.responses.create(question);
    const queued = await server.openai.responses.create({ ...question, background: true });
    expect(queued.status).toBe("queued");
    const done = await until(queued.id, "completed", "failed");
    expect(done).toMatchObject({ id: queued.id, status: "completed", error: null, model });
    expect(done.output).toMatchObject([{ content: [{ text: whole.output_text }] }]);
    const next = await server.openai.responses.create({ ...question, previous_response_id: done.id });
    expect(next.status).toBe("completed");
  });

  it("is cancelled, and its computation with it", async () => {
    const { id } = await server.openai.responses.create(long);
    await until(id, "in_progress");
    expect((await cancel(id)).status).toBe("cancelled");
    await vi.waitFor(
      () => {
        const [run] = server
          .events("request")
          .filter(({ route }) => route === "/v1/responses (background)")
          .slice(-1);
        expect(run).toMatchObject({ stream: false, error: expect.any(String) });
        expect(run?.completionTokens).toBeLessThan(1_000);
      },
      { timeout: 20_000 },
    );
    expect((await retrieve(id)).status).toBe("cancelled");
  });

  it("is finished after a restart in the middle of it", async () => {
    const { id } = await server.openai.responses.create({ ...long, max_output_tokens: 400 });
    await until(id, "in_progress");
    server = await server.restart();
    const done = await until(id, "completed", "incomplete", "failed");
    expect(done.error).toBeNull();
    expect(done.usage?.output_tokens).toBeGreaterThan(0);
  });
});
