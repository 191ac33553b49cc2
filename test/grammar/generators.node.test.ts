// Schemas as clients' own generators write them: what a grammar lets out is valid for the generator and for ajv.
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { compileGrammar } from "../../src/grammar/index.ts";
import { accepts, draw } from "../support/grammar.ts";

const ajv = new Ajv2020({ strict: false, allErrors: true, logger: false });
(addFormats as unknown as (ajv: Ajv2020) => void)(ajv);
const SEEDS = 40;

/** @returns the texts that came to an end, all of them valid for ajv */
function drawn(schema: object, strict: boolean): string[] {
  const validate = ajv.compile(schema);
  const grammar = compileGrammar({ type: "json_schema", schema, strict });
  const texts = Array.from({ length: SEEDS }, (_, i) => draw({ grammar, seed: i + 1, maxTokens: 300 }));
  const ended = texts.flatMap((text) => text ?? []);
  for (const text of ended)
    expect(validate(JSON.parse(text)), `${text}: ${ajv.errorsText(validate.errors)}`).toBe(true);
  return ended;
}

const ZOD: Record<string, z.ZodType> = {
  email: z.email(),
  uuid: z.uuid(),
  datetime: z.iso.datetime(),
  offset: z.iso.datetime({ offset: true }),
  date: z.iso.date(),
  time: z.iso.time(),
  duration: z.iso.duration(),
  url: z.url(),
  ipv4: z.ipv4(),
  ipv6: z.ipv6(),
  cidrv4: z.cidrv4(),
  base64: z.base64(),
  cuid: z.cuid(),
  nanoid: z.nanoid(),
  e164: z.e164(),
  "an email with a length": z.email().min(6).max(40),
  "html5Email, with look-ahead": z.email({
    pattern: /^(?!\.)(?!.*\.\.)([a-z0-9_.]+)[a-z0-9]@([a-z][a-z-]*\.)+[a-z]{2,}$/,
  }),
  "a pattern with lengths": z
    .string()
    .regex(/^[a-z0-9-]+$/)
    .min(3)
    .max(20),
  "several patterns": z.string().startsWith("a").endsWith("z").includes("mm").max(6),
  "a union": z.union([z.string().max(5), z.int().min(0).max(9), z.null()]),
  "a discriminated union": z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("circle"), r: z.number().min(0).max(9) }),
    z.object({ kind: z.literal("square"), side: z.boolean() }),
  ]),
  "a tree": z.object({
    value: z.int(),
    get next() {
      return z.union([z.null(), z.object({ deep: z.boolean() })]);
    },
  }),
  "a record": z.record(z.string(), z.int().min(0).max(9)),
  "a record of named keys": z.record(z.enum(["a", "b"]), z.boolean()),
  "names like numbers": z.object({ "10": z.boolean(), "2": z.null(), a: z.boolean() }),
};

describe("zod's JSON schemas, strict", () => {
  it.each(Object.entries(ZOD))("%s", (_, inner) => {
    const whole = z.object({ value: inner });
    const texts = drawn(z.toJSONSchema(whole), true);
    expect(texts.length).toBeGreaterThan(SEEDS / 2);
    for (const text of texts) expect(whole.safeParse(JSON.parse(text)).success, text).toBe(true);
  });
});

const OPEN: Record<string, z.ZodType> = {
  "a partial record": z.partialRecord(z.enum(["x", "y"]), z.boolean()),
  "a record whose keys have a pattern": z.record(z.string().regex(/^k[0-9]{1,3}$/), z.boolean()),
  "a loose object": z.looseObject({ a: z.boolean(), b: z.string().max(3).optional() }),
  "any value": z.array(z.any()).max(2),
  "an intersection": z.intersection(z.object({ a: z.boolean() }), z.looseObject({ b: z.null() })),
};

describe("zod's JSON schemas", () => {
  it.each(Object.entries(OPEN))("%s", (_, inner) => {
    const whole = z.object({ value: inner });
    const texts = drawn(z.toJSONSchema(whole), false);
    expect(texts.length).toBeGreaterThan(SEEDS / 2);
    for (const text of texts) expect(whole.safeParse(JSON.parse(text)).success, text).toBe(true);
  });
});

/** As pydantic's `model_json_schema` writes them, and OpenAPI's generators. */
const $defs = {
  Pet: { type: "object", title: "Pet", properties: { name: { type: "string", maxLength: 5 } }, required: ["name"] },
  Color: { enum: ["red", "green"], title: "Color", type: "string" },
  Cat: {
    type: "object",
    properties: { kind: { const: "cat", type: "string" }, lives: { type: "integer" } },
    required: ["kind"],
  },
  Dog: {
    type: "object",
    properties: { kind: { const: "dog", type: "string" }, good: { type: "boolean" } },
    required: ["kind"],
  },
  Node: {
    type: "object",
    properties: {
      v: { type: "boolean" },
      next: { anyOf: [{ $ref: "#/$defs/Node" }, { type: "null" }], default: null },
    },
    required: ["v"],
  },
};
const PROPERTIES: Record<string, object> = {
  "allOf with one $ref": { allOf: [{ $ref: "#/$defs/Color" }], default: "red", description: "d" },
  "keywords beside $ref": {
    $ref: "#/$defs/Pet",
    required: ["name", "n"],
    additionalProperties: { type: ["string", "null"] },
  },
  "annotations beside $ref": { $ref: "#/$defs/Color", description: "A colour.", default: "red" },
  "type beside anyOf": { type: "object", anyOf: [{ $ref: "#/$defs/Cat" }, { $ref: "#/$defs/Dog" }] },
  "required beside anyOf": {
    type: "object",
    properties: { a: { type: "boolean" }, b: { type: "null" } },
    anyOf: [{ required: ["a"] }, { required: ["b"] }],
  },
  "oneOf with a discriminator": {
    discriminator: { propertyName: "kind", mapping: { cat: "#/$defs/Cat", dog: "#/$defs/Dog" } },
    oneOf: [{ $ref: "#/$defs/Cat" }, { $ref: "#/$defs/Dog" }],
  },
  "oneOf told apart by types and bounds": {
    oneOf: [
      { type: "string", maxLength: 3 },
      { type: "integer", maximum: 4 },
      { type: "number", exclusiveMinimum: 4 },
    ],
  },
  "oneOf told apart by patterns": {
    oneOf: [
      { type: "string", pattern: "^a[a-z]{1,3}$" },
      { type: "string", pattern: "^b" },
    ],
  },
  "allOf of several": {
    allOf: [
      { $ref: "#/$defs/Pet" },
      { properties: { age: { minimum: 0 } }, required: ["age"] },
      { properties: { age: { type: "integer", maximum: 9 } } },
    ],
  },
  "an optional decimal": {
    anyOf: [{ type: "number" }, { type: "string", pattern: "^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$" }],
  },
  "a recursive model": { $ref: "#/$defs/Node" },
  "items: true": { type: "array", items: true, maxItems: 2 },
  "a schema that is true": true as unknown as object,
  "required without properties": {
    type: "object",
    required: ["k"],
    additionalProperties: { type: "integer", minimum: 0, maximum: 9 },
  },
  "names by pattern": {
    type: "object",
    propertyNames: { pattern: "^[a-z]{1,4}$" },
    additionalProperties: { type: "null" },
  },
  "numbers in several bounds": {
    allOf: [
      { type: "integer", multipleOf: 4 },
      { multipleOf: 6, minimum: -30 },
      { exclusiveMaximum: 90, maximum: 100 },
    ],
  },
  "an enum in bounds": { enum: [1, 5, 11, "a", "abc", null], minimum: 4, maxLength: 2 },
};

describe("what pydantic and OpenAPI write", () => {
  it.each(Object.entries(PROPERTIES))("%s", (_, value) => {
    const schema = { type: "object", properties: { value }, required: ["value"], $defs };
    expect(drawn(schema, false).length).toBeGreaterThan(SEEDS / 2);
  });

  it("a required name without a property obeys additionalProperties", () => {
    const schema = {
      type: "object",
      required: ["k"],
      additionalProperties: { type: "integer", minimum: 0, maximum: 9 },
    };
    const grammar = compileGrammar({ type: "json_schema", schema, strict: false });
    expect(accepts(grammar, '{"k":7}')).toBe(true);
    expect(accepts(grammar, '{"k":783627925446144e92}')).toBe(false);
  });

  it("keeps look-around out of a format and says so, unless the schema is strict", () => {
    const value = { type: "string", format: "date", pattern: "(?<=1)1$" };
    const schema = { type: "object", properties: { value }, required: ["value"], additionalProperties: false };
    expect(accepts(compileGrammar({ type: "json_schema", schema, strict: false }), '{"value":"2024-02-29"}')).toBe(
      true,
    );
    expect(() => compileGrammar({ type: "json_schema", schema })).toThrow("look-behind");
  });
});
