// Exactly which texts fit: what valid output may look like, and that near misses are kept out.
import { describe, expect, it } from "vitest";
import { compileGrammar, TOOL_CALLS } from "../../src/grammar/index.ts";
import { accepts, grammarOf, strictObject } from "../support/grammar.ts";

describe("numbers", () => {
  const integers = Array.from({ length: 261 }, (_, i) => i - 130);
  const decimals = Array.from({ length: 401 }, (_, i) => (i - 200) / 8);

  it.each([
    { minimum: -12, maximum: 103 },
    { minimum: 7 },
    { maximum: -7 },
    { exclusiveMinimum: -100, exclusiveMaximum: 100 },
    { minimum: 0, exclusiveMaximum: 10 },
    { minimum: -99.5, maximum: -9.5 },
    { multipleOf: 6 },
    { multipleOf: 25, minimum: -60 },
    { minimum: 5, maximum: 5 },
  ])("integer with %j: all that fit and no other", (bounds) => {
    const grammar = grammarOf({ type: "integer", ...bounds });
    expect(integers.filter((n) => accepts(grammar, String(n)))).toEqual(integers.filter((n) => fits(n, bounds)));
  });

  it.each([
    { minimum: -2.125, maximum: 3.25 },
    { exclusiveMinimum: -2.125, exclusiveMaximum: 3.25 },
    { minimum: 0 },
    { exclusiveMaximum: 0 },
    { exclusiveMinimum: 0, maximum: 0.125 },
    { multipleOf: 0.5, maximum: 20 },
    { multipleOf: 0.25 },
  ])("number with %j: all that fit and no other", (bounds) => {
    const grammar = grammarOf({ type: "number", ...bounds });
    expect(decimals.filter((n) => accepts(grammar, String(n)))).toEqual(decimals.filter((n) => fits(n, bounds)));
  });

  it("are written as JSON wants them, and no longer than a double holds", () => {
    const number = grammarOf({ type: "number" });
    for (const text of ["0", "-0.5", "12.25e-7", "1E+3", "123456789012345"])
      expect(accepts(number, text), text).toBe(true);
    for (const text of ["01", "+1", ".5", "1.", "1e", "--1", "1e999", "1234567890123456"]) {
      expect(accepts(number, text), text).toBe(false);
    }
    expect(accepts(grammarOf({ type: "integer" }), "1.0")).toBe(false);
    expect(accepts(grammarOf({ type: "number", minimum: 1 }), "1.50")).toBe(true);
  });
});

function fits(n: number, { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf }: Record<string, number>) {
  return (
    n >= (minimum ?? Number.NEGATIVE_INFINITY) &&
    n <= (maximum ?? Number.POSITIVE_INFINITY) &&
    n > (exclusiveMinimum ?? Number.NEGATIVE_INFINITY) &&
    n < (exclusiveMaximum ?? Number.POSITIVE_INFINITY) &&
    (multipleOf === undefined || Number.isInteger(n / multipleOf))
  );
}

describe("strings", () => {
  const string = grammarOf({ type: "string" });

  it("take every spelling that JSON has, and nothing that is not well-formed", () => {
    for (const text of ['"a é 日 🙂 \\" \\\\ \\/ \\b\\f\\n\\r\\t \\u00e9 \\ud83d\\ude42"', '""', '"\u2028\x7f"']) {
      expect(accepts(string, text), text).toBe(true);
      expect(() => JSON.parse(text)).not.toThrow();
    }
    for (const text of ['"', '"a', '"\n"', '"\t"', '"\\x"', '"\\u12"', '"\\ud83d"', '"\\ude42"', '"\\ud83da"', '"""']) {
      expect(accepts(string, text), text).toBe(false);
    }
  });

  it("count characters, not bytes or escapes, for minLength and maxLength", () => {
    const two = grammarOf({ type: "string", minLength: 2, maxLength: 2 });
    for (const text of ['"ab"', '"日🙂"', '"\\n\\u00e9"', '"\\ud83d\\ude42x"'])
      expect(accepts(two, text), text).toBe(true);
    for (const text of ['"a"', '"abc"', '"🙂"', '"\\ud83d\\ude42"']) expect(accepts(two, text), text).toBe(false);
  });

  const TEXTS = [
    ...[
      "",
      "a",
      "b",
      "ab",
      "abc",
      "xabcx",
      "aab",
      "ba",
      "A",
      "0",
      "42",
      "a1_",
      "a-b",
      "é",
      "日本",
      "🙂",
      "🙂🙂",
      " ",
      "\u00a0",
    ],
    ...[
      "a b",
      "a\nb",
      "\n",
      '"',
      "\\",
      '"\\"',
      "a.b",
      "axb",
      "foo@bar.com",
      "2024-01-31",
      "555-1234",
      "\u2028",
      "{}",
      "\x01",
      "aaa",
    ],
  ];
  it.each([
    "a",
    "^a",
    "a$",
    "^(?:a|b)+$",
    "^a|b$",
    "^$",
    "^.$",
    "^[^a-z]*$",
    "^\\w+$",
    "^\\W\\D\\S?$",
    "^\\s$",
    "^(ab?)*c?$",
    "^[\\w.]+@\\w+\\.com$",
    "^\\d{3}\\-\\d{4}$",
    "^\\d{4}-\\d{2}-\\d{2}$",
    '^["\\\\]+$',
    "^(?<name>a){2,}?$",
    "\\x61\\u0062",
    "^\\u{1F642}{2}$",
    "[^\\n]{3}",
    "^\\cA$",
    "a{0}",
  ])("with pattern %s are those that RegExp finds it in", (pattern) => {
    const grammar = grammarOf({ type: "string", pattern });
    const expression = ((): RegExp => {
      try {
        return new RegExp(pattern, "u");
      } catch {
        return new RegExp(pattern);
      }
    })();
    const canonical = (text: string): string => JSON.stringify(text);
    expect(TEXTS.filter((text) => accepts(grammar, canonical(text)))).toEqual(
      TEXTS.filter((text) => expression.test(text)),
    );
  });

  it.each([
    [
      "date",
      ["2024-02-29", "2000-02-29", "1999-12-31"],
      ["2023-02-29", "1900-02-29", "2024-13-01", "2024-04-31", "24-1-1"],
    ],
    ["time", ["23:59:59Z", "00:00:00.5+01:30"], ["24:00:00Z", "12:00:00", "12:60:00Z"]],
    ["date-time", ["2024-02-29T12:00:00Z"], ["2024-02-29 12:00:00Z", "2024-02-29T12:00:00", "2023-02-29T12:00:00Z"]],
    ["duration", ["P1Y2M3D", "PT5M", "P3W", "P1DT12H"], ["P", "PT", "P1W2D", "1Y"]],
    ["email", ["a.b+c@example.com"], ["a@b", ".a@b.co", "a b@c.de"]],
    ["hostname", ["localhost", "a-b.example.com"], ["-a", "a-", "a..b", "a_b"]],
    ["ipv4", ["0.0.0.0", "255.10.1.99"], ["256.1.1.1", "1.2.3", "01.2.3.4"]],
    ["ipv6", ["::", "::1", "2001:db8::8a2e:370:7334", "1:2:3:4:5:6:7:8"], ["1:2:3", "1::2::3", "12345::", ":::"]],
    ["uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567e89b12d3a456426614174000", "123e4567-e89b-12d3-a456"]],
    ["uri", ["https://example.com/a/b?c=d#e"], ["example.com", "ftp://example.com", "https://"]],
  ])("of format %s", (format, good, bad) => {
    const grammar = grammarOf({ type: "string", format });
    expect(good.filter((text) => accepts(grammar, `"${text}"`))).toEqual(good);
    expect(bad.filter((text) => accepts(grammar, `"${text}"`))).toEqual([]);
  });
});

describe("objects", () => {
  it("have their properties in the schema's order, with one space or none after colon and comma", () => {
    const grammar = grammarOf(strictObject({ a: { type: "integer" }, b: { type: "null" } }));
    for (const text of ['{"a":1,"b":null}', '{"a": 1, "b": null}']) expect(accepts(grammar, text), text).toBe(true);
    for (const text of [
      '{"b":null,"a":1}',
      '{"a":1}',
      '{ "a":1,"b":null}',
      '{"a":  1,"b":null}',
      '{"a":1,"b":null} ',
    ]) {
      expect(accepts(grammar, text), text).toBe(false);
    }
  });

  it("without strict rules may leave out what is not required", () => {
    const integer = { type: "integer" };
    const grammar = grammarOf({ type: "object", properties: { a: integer, b: integer, c: integer }, required: ["b"] });
    const good = ['{"b":1}', '{"a":1,"b":1}', '{"b":1,"c":1}', '{"a":1,"b":1,"c":1}'];
    expect(good.filter((text) => accepts(grammar, text))).toEqual(good);
    const bad = ["{}", '{"a":1}', '{"a":1,"c":1}', '{,"b":1}', '{"b":1,}', '{"b":1,"d":1}'];
    expect(bad.filter((text) => accepts(grammar, text))).toEqual([]);
  });
});

describe("recursion", () => {
  it("goes as deep as the text does, by every way that leads there", () => {
    const list = {
      anyOf: [
        { type: "array", items: { $ref: "#/$defs/list" } },
        { type: "array", items: { $ref: "#/$defs/other" } },
      ],
    };
    const grammar = grammarOf({
      $ref: "#/$defs/list",
      $defs: { list, other: { anyOf: [{ $ref: "#/$defs/list" }, { type: "null" }] } },
    });
    // Each bracket could be read in two ways: 2^60 in all, were they not followed together.
    expect(accepts(grammar, "[".repeat(60) + "]".repeat(60))).toBe(true);
    expect(accepts(grammar, `${"[".repeat(60)}null${"]".repeat(60)}`)).toBe(true);
    expect(accepts(grammar, "[".repeat(60) + "]".repeat(59))).toBe(false);
    expect(accepts(grammar, "null")).toBe(false);
  });
});

describe("tool calls", () => {
  const tools = [
    { name: "get_weather", parameters: strictObject({ city: { type: "string" } }), strict: true },
    { name: "now" },
  ];
  const { open, close } = TOOL_CALLS;
  const weather = '{"name": "get_weather", "arguments": {"city": "Rome"}}';
  const now = '{"name":"now","arguments":{}}';

  it("are calls of the tools and nothing else when calls are required", () => {
    const grammar = compileGrammar({ type: "tool_calls", tools, several: true });
    expect(accepts(grammar, `${open}[${weather}]${close}`)).toBe(true);
    expect(accepts(grammar, `${open}[${weather}, ${now}]${close}`)).toBe(true);
    for (const text of [
      "hello",
      "",
      `${open}[]${close}`,
      `${open}[${weather}]`,
      `${open}[{"name":"other","arguments":{}}]${close}`,
    ]) {
      expect(accepts(grammar, text), text).toBe(false);
    }
  });

  it("are one call when several are not wanted", () => {
    const grammar = compileGrammar({ type: "tool_calls", tools, several: false });
    expect(accepts(grammar, `${open}[${now}]${close}`)).toBe(true);
    expect(accepts(grammar, `${open}[${now},${now}]${close}`)).toBe(false);
  });

  it("or any text that does not begin like calls", () => {
    const grammar = compileGrammar({ type: "tool_calls", tools, otherwise: { type: "text" }, several: true });
    for (const text of [
      "",
      "Rome is warm. 🙂",
      "<",
      "<tool_cal",
      "<tool_called",
      `x${open}`,
      `${open}[${now}]${close}`,
    ]) {
      expect(accepts(grammar, text), text).toBe(true);
    }
    for (const text of [open, `${open}hello`, `${open}[${now}]`, `${open}[${now}]${close} and more`]) {
      expect(accepts(grammar, text), text).toBe(false);
    }
  });
});
