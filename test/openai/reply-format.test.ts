// What replies may be: which texts the grammar of a wish lets through, and which wishes are refused, naming the place.
import { describe, expect, it } from "vitest";
import { MAX_CALLS } from "../../src/grammar/index.ts";
import { createReplyFormat, type FunctionTool, type ReplyWish } from "../../src/openai/reply-format.ts";
import { accepts, strictObject } from "../support/grammar.ts";

const weather: FunctionTool = { name: "get_weather", parameters: strictObject({ city: { type: "string" } }) };
const add: FunctionTool = { name: "add", parameters: { type: "object", properties: { a: { type: "number" } } } };

const wish = (given: Partial<ReplyWish>): ReplyWish => ({
  text: { type: "text" },
  tools: [],
  choice: "auto",
  parallel: true,
  params: { schema: "the.schema", parameters: (index) => `tools.${index}.parameters`, choice: "tool_choice" },
  ...given,
});
const allows = (given: Partial<ReplyWish>, text: string): boolean => {
  const { grammar } = createReplyFormat(wish(given));
  return !grammar || accepts(grammar, text);
};
const call = (...calls: string[]): string => `<tool_call>[${calls.join(", ")}]</tool_call>`;
const toRome = '{"name": "get_weather", "arguments": {"city": "Rome"}}';
const adding = '{"name": "add", "arguments": {"a": 1}}';

describe("a reply", () => {
  it.each<[string, Partial<ReplyWish>, Record<string, boolean>]>([
    ["auto: text or calls", { tools: [weather, add] }, { "It is warm.": true, [call(toRome, adding)]: true }],
    ["none: no calls", { tools: [weather], choice: "none" }, { "It is warm.": true }],
    ["required: calls only", { tools: [weather], choice: "required" }, { "It is warm.": false, [call(toRome)]: true }],
    [
      "named: one call, of that tool",
      { tools: [weather, add], choice: { name: "add" } },
      { [call(adding)]: true, [call(toRome)]: false, [call(adding, adding)]: false, text: false },
    ],
    [
      "allowed: calls of those tools",
      { tools: [weather, add], allowed: ["get_weather"] },
      { [call(adding)]: false, [call(toRome, toRome)]: true, text: true },
    ],
    [
      "not parallel: one call",
      { tools: [add], parallel: false },
      { [call(adding)]: true, [call(adding, adding)]: false },
    ],
    [
      "json_schema or calls",
      { tools: [weather], text: { type: "json_schema", schema: strictObject({ ok: { type: "boolean" } }) } },
      { '{"ok":true}': true, [call(toRome)]: true, text: false, '{"ok":1}': false },
    ],
    ["json_schema without a schema", { text: { type: "json_schema" } }, { '{"a":[1]}': true, "[1]": false }],
    ["json_object", { text: { type: "json_object" } }, { "{}": true, "1": false }],
  ])("%s", (_, given, texts) => {
    for (const [text, expected] of Object.entries(texts)) expect([text, allows(given, text)]).toEqual([text, expected]);
  });

  it("has no more calls than a bound, at which it ends", () => {
    const times = (count: number): string => call(...Array.from({ length: count }, () => adding));
    expect([MAX_CALLS, MAX_CALLS + 1].map((count) => allows({ tools: [add] }, times(count)))).toEqual([true, false]);
  });

  it("of any text has no grammar, and says nothing to the model", () => {
    expect(createReplyFormat(wish({}))).toEqual({ grammar: undefined, instructions: undefined, mayCall: false });
    expect(createReplyFormat(wish({ tools: [weather], choice: "none" })).instructions).toBeUndefined();
  });

  it("tells the model all tools, and the schema", () => {
    const schema = strictObject({ ok: { type: "boolean" } });
    const { instructions } = createReplyFormat(
      wish({
        tools: [weather, add],
        allowed: ["add"],
        text: { type: "json_schema", schema, description: "A verdict." },
      }),
    );
    expect(instructions).toContain('"name":"get_weather"');
    expect(instructions).toContain('"name":"add"');
    expect(instructions).toContain(JSON.stringify(schema));
    expect(instructions).toContain("A verdict.");
  });
});

describe("a tool that is not strict", () => {
  const open = (parameters: unknown): Partial<ReplyWish> => ({ tools: [weather, { name: "f", parameters }] });
  const f = (json: string): string => call(`{"name": "f", "arguments": ${json}}`);

  it("is held to its schema where that can be enforced", () => {
    const given = open({ type: "object", properties: { a: { type: "number" } } });
    expect(allows(given, f('{"a": 1}'))).toBe(true);
    expect(allows(given, f('{"a": "1"}'))).toBe(false);
  });

  it.each<[string, unknown]>([
    ["an unsupported keyword", { type: "object", properties: { a: { oneOf: [{ type: "string" }] } } }],
    ["no type", {}],
    ["a choice at its root", { anyOf: [{ type: "object" }, { type: "string" }] }],
    ["a reference at its root", { $ref: "#/$defs/a", $defs: { a: { type: "object", allOf: [] } } }],
  ])("takes any object, and nothing else, with %s", (_, parameters) => {
    expect(allows(open(parameters), f('{"a": [1, {"b": null}]}'))).toBe(true);
    expect(allows(open(parameters), f('"text"'))).toBe(false);
    // The other one stays as it was.
    expect(allows(open(parameters), call('{"name": "get_weather", "arguments": {"town": 1}}'))).toBe(false);
  });

  it("takes any object beside many others that cannot be enforced", () => {
    const tools = [...Array.from({ length: 20 }, (_, i) => ({ name: `f${i}`, parameters: { not: {} } })), weather];
    expect(allows({ tools }, call('{"name": "f19", "arguments": {"b": 2}}'))).toBe(true);
    expect(allows({ tools: tools.slice(17) }, call('{"name": "get_weather", "arguments": {"b": 2}}'))).toBe(false);
    const strict = { ...weather, strict: true };
    expect(allows({ tools: [...tools.slice(0, 20), strict] }, call('{"name": "get_weather", "arguments": {}}'))).toBe(
      false,
    );
  });

  it("takes any object where all tools together are too large", () => {
    const large = { type: "object", properties: { a: { type: "string", maxLength: 3000 } }, required: ["a"] };
    const tools = Array.from({ length: 10 }, (_, i) => ({ name: `f${i}`, parameters: large }));
    expect(allows({ tools }, call('{"name": "f9", "arguments": {"b": 2}}'))).toBe(true);
    expect(allows({ tools: tools.slice(0, 1) }, call('{"name": "f0", "arguments": {"b": 2}}'))).toBe(false);
  });
});

describe("refuses", () => {
  const errorOf = (given: Partial<ReplyWish>): unknown => {
    try {
      return createReplyFormat(wish(given));
    } catch (error) {
      return error;
    }
  };
  const strict = (parameters: unknown): Partial<ReplyWish> => ({
    tools: [weather, { name: "f", strict: true, parameters }],
    choice: "required",
  });
  it.each<[string, Partial<ReplyWish>, object]>([
    [
      "a keyword of a strict tool, by name and path",
      strict(strictObject({ a: { oneOf: [] } })),
      {
        ...{ code: "invalid_function_parameters", param: "tools.1.parameters" },
        message: expect.stringMatching(/#\/properties\/a: "oneOf"/),
      },
    ],
    ["parameters that are no object", strict({ type: "array" }), { param: "tools.1.parameters" }],
    ["parameters that are no schema", strict([]), { param: "tools.1.parameters" }],
    [
      "a keyword of a response's schema",
      { text: { type: "json_schema", schema: { type: "object", not: {} } } },
      { code: "invalid_json_schema", param: "the.schema", message: expect.stringContaining('#: "not"') },
    ],
    [
      "a keyword of a response's schema beside tools",
      { tools: [weather], text: { type: "json_schema", schema: { type: "object", not: {} } } },
      { code: "invalid_json_schema", param: "the.schema" },
    ],
    [
      "what breaks strict mode's rules",
      { text: { type: "json_schema", strict: true, schema: { type: "object", properties: {} } } },
      { code: "invalid_json_schema", message: expect.stringContaining("additionalProperties") },
    ],
    ["a name that no tool has", { tools: [weather], choice: { name: "nope" } }, { param: "tool_choice" }],
    ["a call without tools", { choice: "required" }, { param: "tool_choice" }],
  ])("%s", (_, given, error) => {
    expect(errorOf(given)).toMatchObject(error);
  });

  it("names a tool by its place in the request, whatever may be called", () => {
    const given = { ...strict({ type: "object", not: {} }), allowed: ["f"] };
    expect(errorOf(given)).toMatchObject({ param: "tools.1.parameters" });
  });
});
