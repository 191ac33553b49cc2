// What replies may be: which texts the grammar of a wish lets through, and which wishes are refused, naming the place.
import { describe, expect, it } from "vitest";
import { MAX_CALLS } from "../../../src/grammar/index.ts";
import { createReplyFormat, type FunctionTool, type ReplyWish } from "../../../src/openai/shared/reply-format.ts";
import { accepts, strictObject } from "../../support/grammar.ts";

const weather: FunctionTool = { name: "get_weather", parameters: strictObject({ city: { type: "string" } }) };
const add: FunctionTool = { name: "add", parameters: { type: "object", properties: { a: { type: "number" } } } };

const wish = (given: Partial<ReplyWish>): ReplyWish => ({
  text: { type: "text" },
  tools: [],
  choice: "auto",
  parallel: true,
  params: {
    schema: "the.schema",
    parameters: (index) => `tools.${index}.parameters`,
    choice: "tool_choice",
    format: "the.format",
    tools: "tools",
  },
  ...given,
});
const allows = async (given: Partial<ReplyWish>, text: string): Promise<boolean> => {
  const { grammar } = await createReplyFormat(wish(given));
  return !grammar || accepts(grammar, text);
};
const call = (...calls: string[]): string => `<tool_call>[${calls.join(", ")}]</tool_call>`;
const toRome = '{"name": "get_weather", "arguments": {"city": "Rome"}}';
const adding = '{"name": "add", "arguments": {"a": 1}}';

describe("the field that asks for what comes next", () => {
  const json = { type: "json_schema", schema: strictObject({ ok: { type: "boolean" } }) } as const;
  it.each<[string, Partial<ReplyWish>, string, string | undefined]>([
    ["of text is none", {}, "a", undefined],
    ["of JSON is the reply's form", { text: { type: "json_object" } }, "{", "the.format"],
    ["of JSON under a schema is the schema", { text: json }, "", "the.schema"],
    ["beside tools is the schema too", { text: json, tools: [weather] }, '{"ok', "the.schema"],
    ["of the one tool is its parameters", { tools: [weather] }, "<tool_", "tools.0.parameters"],
    ["before a tool is named is the list", { tools: [weather, add] }, '<tool_call>[{"name": "', "tools"],
    [
      "of a call is its tool's parameters",
      { tools: [weather, add] },
      '<tool_call>[{"name": "add", "arguments": {"a',
      "tools.1.parameters",
    ],
    [
      "of a second call is the second tool's",
      { tools: [weather, add] },
      `<tool_call>[${adding}, ${toRome.slice(0, -8)}`,
      "tools.0.parameters",
    ],
  ])("%s", async (_, given, text, field) => {
    expect((await createReplyFormat(wish(given))).grammarField(text)).toBe(field);
  });
});

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
  ])("%s", async (_, given, texts) => {
    for (const [text, expected] of Object.entries(texts)) {
      expect([text, await allows(given, text)]).toEqual([text, expected]);
    }
  });

  it("has no more calls than a bound, at which it ends", async () => {
    const times = (count: number): string => call(...Array.from({ length: count }, () => adding));
    expect(await allows({ tools: [add] }, times(MAX_CALLS))).toBe(true);
    expect(await allows({ tools: [add] }, times(MAX_CALLS + 1))).toBe(false);
  });

  it("of any text has no grammar, and says nothing to the model", async () => {
    expect(await createReplyFormat(wish({}))).toEqual({
      grammarField: expect.any(Function),
      grammar: undefined,
      instructions: undefined,
      mayCall: false,
      warnings: [],
    });
    const { instructions } = await createReplyFormat(wish({ tools: [weather], choice: "none" }));
    expect(instructions).toBeUndefined();
  });

  it("tells the model all tools, and the schema", async () => {
    const schema = strictObject({ ok: { type: "boolean" } });
    const { instructions } = await createReplyFormat(
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

  const warningsOf = async (given: Partial<ReplyWish>) => (await createReplyFormat(wish(given))).warnings;

  it("is held to its schema where that can be enforced", async () => {
    const given = open({ type: "object", properties: { a: { type: "number" } } });
    expect(await allows(given, f('{"a": 1}'))).toBe(true);
    expect(await allows(given, f('{"a": "1"}'))).toBe(false);
    expect(await warningsOf(given)).toEqual([]);
  });

  const required = ["a"];
  it.each<[string, object, string]>([
    ["a keyword without effect on its siblings", { type: "object", not: { required: ["x"] } }, "not"],
    ["a pattern that is not supported", { type: "object", properties: { b: { pattern: "(?<=a)b" } } }, "pattern"],
    ["a malformed keyword", { type: "object", properties: { b: { minLength: -1 } } }, "minLength"],
    ["a reference that leads nowhere", { type: "object", properties: { b: { $ref: "#/$defs/b" } } }, "$ref"],
    ["a oneOf whose branches overlap", { oneOf: [{ type: "object" }, { required: ["a"] }] }, "oneOf"],
    ["a oneOf in a property", { properties: { b: { oneOf: [{ type: "integer" }, { type: "number" }] } } }, "oneOf"],
    ["no type", { dependentRequired: { a: ["b"] } }, "dependentRequired"],
  ])("leaves out the keyword alone and says so: %s", async (_, rest, keyword) => {
    const { properties = {}, ...others } = rest as { properties?: object };
    const given = open({ ...others, properties: { a: { type: "integer" }, ...properties }, required });
    expect(await allows(given, f('{"a": 1}'))).toBe(true);
    for (const json of ["{}", '{"a": "1"}', '"text"']) expect(await allows(given, f(json))).toBe(false);
    // The other tool stays as it was.
    expect(await allows(given, call('{"name": "get_weather", "arguments": {"town": 1}}'))).toBe(false);
    const warnings = await warningsOf(given);
    expect(warnings).toEqual([expect.stringMatching(/^tools\.1\.parameters: not enforced: #/)]);
    expect(warnings[0]).toContain(`"${keyword}"`);
  });

  it("loses no schema to nine others that have a keyword each that cannot be enforced", async () => {
    const flawed = { type: "object", properties: { q: { type: "string" } }, required: ["q"], not: {} };
    const tools = [...Array.from({ length: 9 }, (_, i) => ({ name: `f${i}`, parameters: flawed })), weather];
    const [last] = tools.slice(-2);
    for (const name of [last?.name, "f0"]) {
      expect(await allows({ tools }, call(`{"name": "${name}", "arguments": {"q": "x"}}`))).toBe(true);
      expect(await allows({ tools }, call(`{"name": "${name}", "arguments": {"b": 2}}`))).toBe(false);
    }
    expect(await allows({ tools }, call(toRome))).toBe(true);
    expect(await allows({ tools }, call('{"name": "get_weather", "arguments": {"b": 2}}'))).toBe(false);
  });

  it("takes any value where none would fit, and nothing else beside", async () => {
    const properties = { a: { type: "integer", minimum: 3, maximum: 2 }, b: { type: "boolean" } };
    const given = open({ type: "object", properties, required: ["a", "b"] });
    expect(await allows(given, f('{"a": [1], "b": true}'))).toBe(true);
    expect(await allows(given, f('{"a": [1], "b": 0}'))).toBe(false);
    expect(await warningsOf(given)).toEqual([expect.stringContaining("#/properties/a: no finite value")]);
  });

  it("is opened where it makes the grammar too large, but not the others", async () => {
    const large = { type: "object", properties: { n: { type: "integer", multipleOf: 99_991 } }, required: ["n"] };
    const given = open(large);
    expect(await allows(given, f('{"n": "any"}'))).toBe(true);
    expect(await allows(given, f("{}"))).toBe(false);
    expect(await allows(given, call('{"name": "get_weather", "arguments": {"town": 1}}'))).toBe(false);
  });
});

describe("refuses", () => {
  const errorOf = async (given: Partial<ReplyWish>): Promise<unknown> => {
    try {
      return await createReplyFormat(wish(given));
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
      strict(strictObject({ a: { type: "string", not: {} } })),
      {
        code: "invalid_function_parameters",
        param: "tools.1.parameters",
        message: expect.stringMatching(/#\/properties\/a: "not"/),
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
  ])("%s", async (_, given, error) => {
    expect(await errorOf(given)).toMatchObject(error);
  });

  it("names a tool by its place in the request, whatever may be called", async () => {
    const given = { ...strict({ type: "object", not: {} }), allowed: ["f"] };
    expect(await errorOf(given)).toMatchObject({ param: "tools.1.parameters" });
  });
});
