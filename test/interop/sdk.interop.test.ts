// OpenAI's own SDK with its typed helpers, and Vercel's AI SDK, against the process that `npm start` runs. What the model says is its own
// affair: these check that what the SDKs make of it is well formed, typed and complete.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { freePort, type Server, startCommand, startServer } from "../../bench/service-process.ts";

const MODEL = "smollm2-135m-attn-drop-5";
const weather = z.object({
  city: z.enum(["Rome", "Oslo", "Paris"]),
  days: z.int().min(1).max(7),
});
const question = "How is the weather in Rome?";
const messages = [{ role: "user" as const, content: question }];

let server: Server;
beforeAll(async () => {
  const port = await freePort();
  server = await startServer(await startCommand(), port);
});
afterAll(() => server?.stop());

describe("OpenAI's SDK", () => {
  const request = { model: MODEL, messages, max_completion_tokens: 60, temperature: 0, seed: 1 };

  it("streams with its helper, to the text that comes whole", async () => {
    const stream = server.openai.chat.completions.stream(request);
    let deltas = "";
    stream.on("content", (delta) => {
      deltas += delta;
    });
    const whole = await server.openai.chat.completions.create(request);
    expect(await stream.finalContent()).toBe(whole.choices[0]?.message.content);
    expect(deltas).toBe(whole.choices[0]?.message.content);
  });

  it("parses structured output, whole and streamed", async () => {
    const parsed = await server.openai.chat.completions.parse({
      ...request,
      response_format: zodResponseFormat(weather, "weather"),
    });
    expect(weather.parse(parsed.choices[0]?.message.parsed)).toEqual(parsed.choices[0]?.message.parsed);
    const stream = server.openai.chat.completions.stream({
      ...request,
      response_format: zodResponseFormat(weather, "weather"),
    });
    const final = await stream.finalChatCompletion();
    expect(final.choices[0]?.message.parsed).toEqual(parsed.choices[0]?.message.parsed);
  });

  it("parses calls of tools, whole and streamed", async () => {
    const body = {
      ...request,
      tools: [zodFunction({ name: "get_weather", parameters: weather, description: "Tells the weather." })],
      tool_choice: "required" as const,
      parallel_tool_calls: false,
    };
    const parsed = await server.openai.chat.completions.parse(body);
    const [call] = parsed.choices[0]?.message.tool_calls ?? [];
    expect(parsed.choices[0]?.finish_reason).toBe("tool_calls");
    expect(call?.function.name).toBe("get_weather");
    expect(() => weather.parse(call?.function.parsed_arguments)).not.toThrow();

    const stream = server.openai.chat.completions.stream(body);
    const done: unknown[] = [];
    stream.on("tool_calls.function.arguments.done", ({ name, parsed_arguments: given }) => done.push({ name, given }));
    const final = await stream.finalChatCompletion();
    expect(done).toEqual([{ name: "get_weather", given: call?.function.parsed_arguments }]);
    expect(final.choices[0]?.message.tool_calls?.[0]?.function.arguments).toBe(call?.function.arguments);
  });

  it("runs tools, and brings their results back in", async () => {
    const asked: unknown[] = [];
    const runner = server.openai.chat.completions.runTools(
      {
        ...request,
        stream: true,
        stream_options: { include_usage: true },
        tools: [
          zodFunction({
            name: "get_weather",
            parameters: weather,
            function: (given) => {
              asked.push(weather.parse(given));
              return { celsius: 21 };
            },
          }),
        ],
        tool_choice: "required",
        parallel_tool_calls: false,
      },
      { maxChatCompletions: 2 },
    );
    await runner.done();
    expect(asked).toHaveLength(2);
    const roles = runner.messages.map(({ role }) => role);
    expect(roles).toEqual(["user", "assistant", "tool", "assistant", "tool"]);
    expect((await runner.totalUsage()).completion_tokens).toBeGreaterThan(0);
  });

  it("runs the one tool that is named", async () => {
    const runner = server.openai.chat.completions.runTools({
      ...request,
      tools: [zodFunction({ name: "get_weather", parameters: weather, function: ({ city }) => city })],
      tool_choice: { type: "function", function: { name: "get_weather" } },
    });
    expect(["Rome", "Oslo", "Paris"]).toContain(await runner.finalFunctionToolCallResult());
  });
});

describe("Vercel's AI SDK", () => {
  const provider = () =>
    createOpenAICompatible({
      name: "franken",
      baseURL: `${server.url}/v1`,
      apiKey: server.key,
      includeUsage: true,
      supportsStructuredOutputs: true,
    });
  const common = () => ({ model: provider()(MODEL), temperature: 0, maxOutputTokens: 60, maxRetries: 0, seed: 1 });

  it("generates text, and streams the same", async () => {
    const whole = await generateText({ ...common(), prompt: question });
    expect(whole.text.length).toBeGreaterThan(0);
    const stream = streamText({ ...common(), prompt: question });
    let text = "";
    for await (const delta of stream.textStream) text += delta;
    expect(text).toBe(whole.text);
    const { outputTokens, inputTokens } = await stream.usage;
    expect([inputTokens, outputTokens]).toEqual([whole.usage.inputTokens, whole.usage.outputTokens]);
    expect(await stream.finishReason).toBe(whole.finishReason);
  });

  it("generates objects", async () => {
    const { object } = await generateObject({ ...common(), prompt: question, schema: weather });
    expect(weather.parse(object)).toEqual(object);
  });

  it.each(["whole", "streamed"])("loops over a tool: %s", async (form) => {
    const asked: unknown[] = [];
    const options = {
      ...common(),
      maxOutputTokens: 400,
      prompt: question,
      tools: {
        get_weather: tool({
          description: "Tells the weather.",
          inputSchema: weather,
          execute: async (given) => {
            asked.push(given);
            return { celsius: 21, sky: "clear" };
          },
        }),
      },
      stopWhen: stepCountIs(2),
      prepareStep: ({ stepNumber }: { stepNumber: number }) => ({
        toolChoice: stepNumber === 0 ? ("required" as const) : ("none" as const),
      }),
    };
    const result = form === "whole" ? await generateText(options) : streamText(options);
    const steps = await result.steps;
    expect(steps.map(({ finishReason }) => finishReason === "tool-calls")).toEqual([true, false]);
    expect(asked.length).toBeGreaterThan(0);
    for (const given of asked) expect(weather.parse(given)).toEqual(given);
    expect((await result.text).length).toBeGreaterThan(0);
  });
});
