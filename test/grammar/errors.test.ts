// A schema that is not enforced to the letter is refused, and the error says which keyword of which part is at fault.
import { describe, expect, it } from "vitest";
import { compileGrammar, SchemaError } from "../../src/grammar/index.ts";
import { accepts, grammarOf, strictObject } from "../support/grammar.ts";

function errorOf(work: () => unknown): SchemaError {
  try {
    work();
  } catch (error) {
    if (error instanceof SchemaError) return error;
    throw error;
  }
  throw new Error("no error was thrown");
}
const strictError = (schema: unknown): SchemaError => errorOf(() => compileGrammar({ type: "json_schema", schema }));

describe("keywords that are not enforced", () => {
  it.each([
    ...["not", "dependentRequired", "dependentSchemas", "patternProperties", "minProperties", "maxProperties"],
    ...["unevaluatedProperties", "unevaluatedItems", "prefixItems", "contains", "uniqueItems", "additionalItems"],
    ...["$dynamicRef", "nullable", "madeUp", "toString"],
  ])("%s is refused by name and place", (keyword) => {
    const error = strictError(strictObject({ "a/b": { type: "array", items: { type: "string", [keyword]: [] } } }));
    expect(error).toMatchObject({ keyword, path: "/properties/a~1b/items" });
    expect(error.message).toMatch(`#/properties/a~1b/items: "${keyword}" is not supported`);
  });

  it.each<object>([
    { if: {}, else: { minLength: 3 } },
    { contains: {}, minContains: 2 },
    { minProperties: 1 },
    { uniqueItems: true },
    { nullable: true },
  ])("%j is refused", (rest) => {
    const [keyword] = Object.keys(rest);
    expect(strictError(strictObject({ a: { type: "string", ...rest } }))).toMatchObject({ keyword });
  });

  it.each<object>([
    ...[{ uniqueItems: false }, { minProperties: 0 }, { nullable: false }, { example: "e" }, { not: false }],
    ...[{ patternProperties: {} }, { unevaluatedProperties: true }, { else: { maxLength: 1 } }, { minContains: 2 }],
    ...[{ discriminator: { propertyName: "k" } }, { format: "password" }, { maxLength: 100_000 }, { if: {} }],
  ])("%j has no effect and is not refused", (rest) => {
    const grammar = compileGrammar({ type: "json_schema", schema: strictObject({ a: { type: "string", ...rest } }) });
    expect(accepts(grammar, '{"a":"some text"}')).toBe(true);
  });

  it("annotations are not refused", () => {
    const notes = {
      title: "t",
      description: "d",
      default: 1,
      examples: [1],
      deprecated: true,
      $comment: "c",
      "x-order": 3,
    };
    const schema = {
      ...strictObject({ a: { type: "string", ...notes, readOnly: true } }),
      $schema: "s",
      $id: "i",
      ...notes,
    };
    expect(() => compileGrammar({ type: "json_schema", schema })).not.toThrow();
  });

  it.each([
    [{ type: "string", format: "regex" }, "format", /"regex" is not supported: date-time, /],
    [{ type: "string", pattern: "(" }, "pattern", /Unterminated group/],
    [{ type: "string", pattern: "(?<=a)b" }, "pattern", /look-behind/],
    [{ type: "string", pattern: "^(?:(?!b)a)*$" }, "pattern", /in a repetition without end/],
    [{ type: "string", pattern: "\\bword\\b" }, "pattern", /word boundaries/],
    [{ type: "string", format: "email", pattern: "\\b@" }, "pattern", /word boundaries/],
    [{ type: "string", pattern: "(a)\\1" }, "pattern", /Backreference/],
    [{ type: "string", pattern: "\\p{L}" }, "pattern", /Unicode properties/],
    [{ type: "string", pattern: "a(^b)" }, "pattern", /where an alternative of the pattern begins/],
    [{ type: "string", pattern: "(a$)*" }, "pattern", /in a repetition/],
    [{ oneOf: [{ type: "integer" }, { type: "number" }] }, "oneOf", /one value may fit at once \(0 and 1\)/],
    [{ enum: ["a"], pattern: "b", type: "string" }, "enum", /no value of the schema's type/],
    [{ $ref: "other.json#/a" }, "$ref", /only "#" and "#\/…"/],
    [{ $ref: "#/$defs/none" }, "$ref", /points to no schema/],
  ])("%j", (value, keyword, message) => {
    const error = strictError(strictObject({ value }));
    expect(error).toMatchObject({ keyword, path: "/properties/value" });
    expect(error.message).toMatch(message);
  });
});

it.each([
  "\\A[a-z]+",
  "[a-z]+\\Z",
  "[a-z]+\\z",
  "[\\h]",
  "\\u{61}\\_",
])("the escape of another language in %s is refused by name, beside a format too", (pattern) => {
  const named = /\\[AZzhu]/.exec(pattern)?.[0];
  for (const rest of [{}, { format: "email" }]) {
    const error = errorOf(() => grammarOf({ type: "string", pattern, ...rest }));
    expect(error).toMatchObject({ keyword: "pattern" });
    expect(error.message).toMatch(`${named} is no escape of ECMA-262`);
  }
});

describe("malformed schemas", () => {
  it.each([
    [{ type: "strnig" }, "type", /"strnig" is none of object, array, string/],
    [{ type: [] }, "type", /a type's name or several/],
    [{ type: 3 }, "type", /a type's name or several/],
    [{ type: "string", minLength: -1 }, "minLength", /an integer of at least 0/],
    [{ type: "string", minLength: 3, maxLength: 2 }, "maxLength", /less than minLength/],
    [{ type: "string", pattern: 3 }, "pattern", /must be a string/],
    [{ type: "array", items: { type: "null" }, minItems: 2, maxItems: 1 }, "maxItems", /less than minItems/],
    [{ type: "number", minimum: "3" }, "minimum", /must be a number/],
    [{ type: "number", exclusiveMinimum: true }, "exclusiveMinimum", /must be a number/],
    [{ type: "number", multipleOf: 0 }, "multipleOf", /above 0/],
    [{ enum: [] }, "enum", /an array with entries/],
    [{ enum: [1], type: "string" }, "enum", /no value of the schema's type/],
    [{ anyOf: {} }, "anyOf", /an array with entries/],
    [{ type: "object", properties: [] }, "properties", /an object of schemas/],
    [{ type: "object", required: "a" }, "required", /an array of strings/],
    [3, undefined, /must be a schema object/],
    [{ enum: ["a"], const: "a" }, "enum", /beside "const"/],
  ])("%j", (value, keyword, message) => {
    const error = errorOf(() => grammarOf({ properties: { value } }));
    expect(error).toMatchObject({ keyword, path: "/properties/value" });
    expect(error.message).toMatch(message);
  });

  it("not an object at all", () => {
    for (const schema of [null, [], "object", 1, undefined])
      expect(strictError(schema).message).toMatch("#: must be a schema object");
  });
});

describe("schemas that no value fits", () => {
  it.each([
    [{ type: "integer", minimum: 3, maximum: 2 }],
    [{ type: "integer", exclusiveMinimum: 3, exclusiveMaximum: 4 }],
    [{ type: "number", minimum: 1e20 }],
    [{ type: "string", pattern: "^[^\\s\\S]$" }],
    [{ type: "string", pattern: "(?=a)b" }],
    [{ type: "string", format: "date", pattern: "a" }],
    [{ type: "string", pattern: "^a{3}$", maxLength: 2 }],
    [{ type: "string", allOf: [{ type: "null" }] }],
    [{ $ref: "#" }],
    [strictObject({ again: { $ref: "#/properties/value" } })],
  ])("%j", (value) => {
    const error = strictError(strictObject({ value }));
    expect(error.path).toMatch(/^\/properties\/value/);
    expect(error.message).toMatch("no finite value can match");
  });

  it("a reference to itself with nothing in between, however long the way", () => {
    const $defs = {
      a: { $ref: "#/$defs/b" },
      b: { anyOf: [{ type: "null" }, { $ref: "#/$defs/c" }] },
      c: { anyOf: [{ $ref: "#/$defs/a" }] },
    };
    const error = strictError({
      ...strictObject({ x: strictObject({ v: { $ref: "#/$defs/b" } }), y: { $ref: "#/$defs/c" } }),
      $defs,
    });
    expect(error).toMatchObject({ keyword: "$ref" });
    expect(error.message).toMatch("refers to itself with nothing in between");
  });
});

describe("required names that nothing allows", () => {
  it.each<object>([
    { additionalProperties: false },
    { properties: { k: false } },
    { additionalProperties: true, propertyNames: { maxLength: 0 } },
    { allOf: [{ properties: { k: {} } }, { additionalProperties: false }] },
  ])("%j beside required is refused by name", (rest) => {
    const error = errorOf(() => grammarOf({ type: "object", required: ["k"], ...rest }));
    expect(error).toMatchObject({ keyword: "required", path: "" });
    expect(error.message).toMatch('names "k", which no value has');
  });
});

describe("strict rules", () => {
  it.each([
    [{ type: "object", properties: { a: { type: "null" } }, required: ["a"] }, "additionalProperties", ""],
    [{ ...strictObject({ a: { type: "null" } }), additionalProperties: true }, "additionalProperties", ""],
    [{ ...strictObject({ a: { type: "null" } }), required: [] }, "required", ""],
    [{ ...strictObject({}), required: ["b"] }, "required", ""],
    [strictObject({ a: {} }), "type", "/properties/a"],
    [strictObject({ a: { type: "array" } }), "items", "/properties/a"],
    [{ anyOf: [strictObject({})] }, "type", ""],
    [{ type: "array", items: { type: "null" } }, "type", ""],
  ])("%j", (schema, keyword, path) => {
    expect(strictError(schema)).toMatchObject({ keyword, path });
    expect(() => grammarOf({ type: "object", properties: { x: {} } })).not.toThrow();
  });
});

describe("limits", () => {
  const enumOf = (count: number, length: number) => ({
    enum: Array.from({ length: count }, (_, i) => String(i).padStart(length, "x")),
  });
  const nested = (levels: number): unknown =>
    levels === 0 ? { type: "null" } : strictObject({ a: nested(levels - 1) });

  it("10 levels of objects", () => {
    expect(() => compileGrammar({ type: "json_schema", schema: nested(10) })).not.toThrow();
    expect(strictError(nested(11)).message).toMatch("more than 10 levels of objects");
  });

  it("levels of any kind, so that nothing overflows", () => {
    let schema: unknown = { type: "null" };
    for (let i = 0; i < 20_000; i++) schema = { type: "array", items: schema };
    expect(errorOf(() => grammarOf(schema)).message).toMatch("nested in more than 64 schemas");
  });

  it("1,000 enum values, of more than 250 at most 15,000 characters", () => {
    expect(() => compileGrammar({ type: "json_schema", schema: strictObject({ a: enumOf(1000, 15) }) })).not.toThrow();
    expect(strictError(strictObject({ a: enumOf(1001, 4) }))).toMatchObject({ keyword: "enum", path: "/properties/a" });
    expect(strictError(strictObject({ a: enumOf(300, 60) })).message).toMatch("15000 characters");
  });

  it("5,000 properties, 120,000 characters", () => {
    const properties = (count: number, length: number) =>
      strictObject(
        Object.fromEntries(
          Array.from({ length: count }, (_, i) => [String(i).padStart(length, "p"), { type: "null" }]),
        ),
      );
    expect(() => compileGrammar({ type: "json_schema", schema: properties(1000, 20) })).not.toThrow();
    expect(strictError(properties(5001, 5))).toMatchObject({ keyword: "properties" });
    expect(strictError(properties(2000, 70)).message).toMatch("over 120000 characters");
  });

  it("states of the grammar: the error names the schema that repeats too much", () => {
    const schema = strictObject({ fine: { type: "string" }, long: { type: "string", pattern: "(a{1000}){1000}" } });
    expect(strictError(schema)).toMatchObject({ path: "/properties/long" });
    expect(strictError(schema).message).toMatch("too large");
    expect(strictError(strictObject({ n: { type: "integer", multipleOf: 99_991 } }))).toMatchObject({
      path: "/properties/n",
    });
  });
});

describe("schemas that could overflow", () => {
  it("a long chain of references is followed", () => {
    const count = 3000;
    const $defs = Object.fromEntries(
      Array.from({ length: count }, (_, i) => [`d${i}`, i + 1 < count ? { $ref: `#/$defs/d${i + 1}` } : { const: 7 }]),
    );
    const grammar = compileGrammar({
      type: "json_schema",
      schema: { ...strictObject({ a: { $ref: "#/$defs/d0" } }), $defs },
    });
    expect(accepts(grammar, '{"a":7}')).toBe(true);
  });

  it("long values are fine", () => {
    const long = "x".repeat(30_000);
    const grammar = grammarOf({ enum: [long, `${long}y`] });
    expect(accepts(grammar, JSON.stringify(`${long}y`))).toBe(true);
    expect(accepts(grammar, JSON.stringify(`${long}z`))).toBe(false);
  });

  it("deep patterns are refused", () => {
    const pattern = `${"(".repeat(20_000)}a${")".repeat(20_000)}`;
    expect(() => grammarOf({ type: "string", pattern })).toThrow(SchemaError);
  });
});

it("an error in a tool's parameters says which tool", () => {
  const tools = [{ name: "fine" }, { name: "bad", strict: true, parameters: strictObject({ a: { not: {} } }) }];
  const error = errorOf(() =>
    compileGrammar({ type: "tool_calls", tools, otherwise: { type: "text" }, several: true }),
  );
  expect(error).toMatchObject({ path: "/tools/1/properties/a", keyword: "not" });
});
