// Schemas as OpenAI's client and the AI SDK send them, from zod and by hand: taken, enforced, and answered about in the warning header.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject } from "ai";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { KEY, saying, type TestGateway, testGateway, USER } from "../routes/gateway.ts";
import { accepts } from "../support/grammar.ts";

const fetchOf = (gateway: TestGateway) => (input: RequestInfo | URL, init?: RequestInit) =>
  gateway.fetch(new URL(String(input)).pathname, init as RequestInit);
const clientOf = (gateway: TestGateway): OpenAI =>
  new OpenAI({ apiKey: KEY, baseURL: "https://gateway.test/v1", fetch: fetchOf(gateway) });
const request = { model: "smollm2-135m", messages: [{ role: "user" as const, content: USER[0]?.content ?? "" }] };
const allows = (gateway: TestGateway, text: string): boolean => {
  const grammar = gateway.replica.requests.at(-1)?.grammar;
  return grammar !== undefined && accepts(grammar, text);
};

const Guest = z.object({
  email: z.email(),
  id: z.uuid(),
  at: z.iso.datetime(),
  slug: z
    .string()
    .regex(/^[a-z-]+$/)
    .max(12),
  dish: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("soup"), hot: z.boolean() }),
    z.object({ kind: z.literal("cake"), slices: z.int().min(1).max(8) }),
  ]),
});
const guest = {
  email: "ann@example.com",
  id: "123e4567-e89b-42d3-a456-426614174000",
  at: "2026-02-28T12:00:00Z",
  slug: "ann-b",
  dish: { kind: "cake" as const, slices: 3 },
};

describe("zod's schemas", () => {
  test("are strict through OpenAI's client, and come back parsed", async () => {
    const gateway = testGateway(await saying(JSON.stringify(guest)));
    const format = zodResponseFormat(Guest, "guest");
    expect(format.json_schema.strict).toBe(true);
    const reply = await clientOf(gateway).chat.completions.parse({ ...request, response_format: format });
    expect(reply.choices[0]?.message.parsed).toEqual(guest);
    expect(allows(gateway, JSON.stringify(guest))).toBe(true);
    for (const wrong of [{ email: "a..b@c.de" }, { id: guest.id.replace("-4", "-0") }, { slug: "a".repeat(13) }]) {
      expect(allows(gateway, JSON.stringify({ ...guest, ...wrong }))).toBe(false);
    }
  });

  test("are taken through the AI SDK, records among them", async () => {
    const gateway = testGateway(await saying('{"scores":{"a":1,"b":2}}'));
    const provider = createOpenAICompatible({
      name: "franken",
      baseURL: "https://gateway.test/v1",
      apiKey: KEY,
      supportsStructuredOutputs: true,
      fetch: fetchOf(gateway),
    });
    const schema = z.object({ scores: z.record(z.string(), z.int().min(0).max(9)) });
    const { object } = await generateObject({ model: provider("smollm2-135m"), schema, prompt: "Score them." });
    expect(object).toEqual({ scores: { a: 1, b: 2 } });
    expect(allows(gateway, '{"scores":{"a":10}}')).toBe(false);
  });
});

describe("the warning header", () => {
  const warned = async (body: object): Promise<string | null> => {
    const { response } = await clientOf(testGateway(await saying("{}")))
      .chat.completions.create({ ...request, ...body })
      .withResponse();
    return response.headers.get("x-franken-warning");
  };
  const format = (schema: object) => ({
    response_format: {
      type: "json_schema" as const,
      json_schema: { name: "n", schema: schema as Record<string, unknown> },
    },
  });
  const when = { type: "string", format: "date", pattern: "(?<=-)01$" };

  test("names a look-around that a format stands in for", async () => {
    expect(await warned(format({ type: "object", properties: { when }, required: ["when"] }))).toMatch(
      /response_format\.json_schema\.schema: not enforced: #\/properties\/when: "pattern" is not supported: \(\?<=-\)/,
    );
  });

  test("names what is left out of a tool that is not strict", async () => {
    const parameters = { type: "object", properties: { a: { type: "array", uniqueItems: true } }, required: ["a"] };
    const tools = [{ type: "function" as const, function: { name: "f", parameters } }];
    expect(await warned({ tools })).toMatch('tools.0.function.parameters: not enforced: #/properties/a: "uniqueItems"');
  });

  test("is not there when all is enforced", async () => {
    expect(await warned(format({ type: "object", properties: { a: { type: "boolean" } } }))).toBeNull();
  });
});

test("a background response keeps a schema's digits and order", async () => {
  const body = `{"model":"m","input":"Hi","text":{"format":{"type":"json_schema","name":"n","schema":
    {"type":"object","properties":{"2":{"const":12345678901234567890},"1":{}},"required":["2"]}}}}`;
  const { parseBody, parseResponseRequest, writeExactly } = await import("../../src/openai/index.ts");
  const first = await parseResponseRequest(await parseBody(body), () => "1");
  const again = await parseResponseRequest(await parseBody(writeExactly(first.body)), () => "1");
  const { grammar } = again.ask(again.items);
  expect(grammar && accepts(grammar, '{"2":12345678901234567890,"1":0}')).toBe(true);
  expect(() => structuredClone(JSON.parse(writeExactly(first.echo(true))))).not.toThrow();
});
