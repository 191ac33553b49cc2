// Whatever a grammar lets out is valid for an independent validator, keyword by keyword. In Node, because ajv compiles with eval.
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { describe, expect, it } from "vitest";
import { compileGrammar } from "../../src/grammar/index.ts";
import { draw, strictObject } from "../support/grammar.ts";

// multipleOfPrecision: without it, ajv divides doubles and finds that 0.07 is no multiple of 0.01.
const ajv = new Ajv2020({ multipleOfPrecision: 9, allErrors: true, allowUnionTypes: true });
(addFormats as unknown as (ajv: Ajv2020) => void)(ajv);

const SEEDS = 200;

const string = (rest: object) => ({ type: "string", ...rest });
const number = (rest: object) => ({ type: "number", ...rest });
const integer = (rest: object) => ({ type: "integer", ...rest });

/** Schemas of one property's value, by what they try. */
const CASES: Record<string, object> = {
  string: string({}),
  "minLength, maxLength": string({ minLength: 3, maxLength: 5 }),
  "pattern, anchored": string({ pattern: "^[A-Z]{2}-[0-9]{3,5}(x|yz)?$" }),
  "pattern with characters that JSON escapes": string({ pattern: '^["\\\\/\\n\\t]{1,6}.["\\\\]$' }),
  "pattern, anchored at one end": string({ pattern: "^ab+" }),
  "pattern found anywhere": string({ pattern: "[0-9]w?" }),
  "pattern with alternatives": string({ pattern: "^a+$|^\\d{4}$|^[yz]" }),
  "pattern beyond ASCII": string({ pattern: "^[à-ö日🙂]{1,3}\\S$" }),
  integer: integer({}),
  number: number({}),
  "minimum, maximum": integer({ minimum: -12, maximum: 1034 }),
  "minimum alone": integer({ minimum: 98 }),
  "maximum alone": number({ maximum: -2.5 }),
  "exclusive bounds": number({ exclusiveMinimum: -0.5, exclusiveMaximum: 0.25 }),
  "exclusive and other bounds": integer({ minimum: 1, exclusiveMinimum: 1, maximum: 5, exclusiveMaximum: 9 }),
  "bounds that a double rounds": number({ exclusiveMinimum: 999999999999998, maximum: 999999999999999 }),
  "bounds with fractions": number({ minimum: 0.1, maximum: 0.30000000000000004 }),
  "multipleOf an integer": integer({ multipleOf: 7 }),
  "multipleOf with bounds": integer({ multipleOf: 15, minimum: -100, maximum: 100 }),
  "multipleOf a fraction": number({ multipleOf: 0.25, minimum: 0, maximum: 20 }),
  "multipleOf hundredths": number({ multipleOf: 0.01, minimum: -100, maximum: 100 }),
  boolean: { type: "boolean" },
  null: { type: "null" },
  enum: { enum: ["a", "ab", 'say "hi"', "\u2028", 3, -1.5e300, null, true, { k: [1] }] },
  "enum with type": string({ enum: ["only", 1, "strings"] }),
  const: { const: { deep: ["x", 0.1] } },
  "several types": { type: ["string", "null", "integer"], maxLength: 2, minimum: 5, maximum: 7 },
  anyOf: { anyOf: [string({ pattern: "^x" }), strictObject({ a: integer({}) }), { type: "null" }] },
  "anyOf that begins alike": {
    anyOf: [
      strictObject({ kind: { const: "a" }, v: integer({}) }),
      strictObject({ kind: { const: "ab" }, w: string({}) }),
    ],
  },
  array: { type: "array", items: string({ maxLength: 2 }) },
  "minItems, maxItems": { type: "array", items: integer({ maximum: 9, minimum: 0 }), minItems: 2, maxItems: 4 },
  "no items": { type: "array", items: integer({}), maxItems: 0 },
  "arrays in arrays": { type: "array", items: { type: "array", items: { type: "boolean" }, maxItems: 2 }, minItems: 1 },
  "object in object": strictObject({ 'a "b"\\': strictObject({ é: integer({}) }), "": { type: "null" } }),
  ...Object.fromEntries(
    ["date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"].map((format) => [
      `format ${format}`,
      string({ format }),
    ]),
  ),
};

/** @returns how many came to an end */
function checkAll(schema: object, strict: boolean, seeds = SEEDS): number {
  const validate = ajv.compile(schema);
  const grammar = compileGrammar({ type: "json_schema", schema, strict });
  let ended = 0;
  for (let seed = 1; seed <= seeds; seed++) {
    const text = draw({ grammar, seed });
    if (text === undefined) continue;
    ended++;
    if (!validate(JSON.parse(text))) expect.fail(`${text}: ${ajv.errorsText(validate.errors)}`);
  }
  return ended;
}

describe("what a grammar lets out at temperature 2 is valid", () => {
  it.each(Object.entries(CASES))("%s", (_name, value) => {
    expect(checkAll(strictObject({ value }), true)).toBeGreaterThan(SEEDS * 0.9);
  });

  it("recursive $ref, to the root and to definitions", () => {
    const node = strictObject({
      value: integer({}),
      next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] },
      children: { type: "array", items: { $ref: "#" }, maxItems: 2 },
    });
    const schema = {
      ...node,
      $defs: {
        node: strictObject({ root: { type: ["null"] }, again: { $ref: "#/$defs/list" } }),
        list: { type: "array", items: { $ref: "#/$defs/node" } },
      },
    };
    expect(checkAll(schema, true)).toBeGreaterThan(SEEDS * 0.9);
  });

  it("optional properties and maps, without the strict rules", () => {
    const schema = {
      type: "object",
      properties: {
        a: integer({}),
        b: { type: "boolean" },
        c: {},
        d: { type: "object", additionalProperties: integer({}) },
      },
      required: ["b", "e"],
    };
    expect(checkAll(schema, false)).toBeGreaterThan(SEEDS * 0.9);
    expect(checkAll({ ...schema, required: [] }, false)).toBeGreaterThan(SEEDS * 0.9);
  });

  it("json_object gives objects", () => {
    const grammar = compileGrammar({ type: "json_object" });
    for (let seed = 1; seed <= SEEDS; seed++) {
      const text = draw({ grammar, seed });
      const value: unknown = JSON.parse(text ?? "{}");
      expect(typeof value === "object" && value !== null && !Array.isArray(value), text).toBe(true);
    }
  });
});
