// A thousand schemas that nobody thought of, each with a text drawn from its grammar: every text that ends is valid.
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import fc from "fast-check";
import { expect, it } from "vitest";
import { compileGrammar, type Grammar, SchemaError } from "../../src/grammar/index.ts";
import { draw, strictObject } from "../support/grammar.ts";

const RUNS = 1000;
const ajv = new Ajv2020({ multipleOfPrecision: 9, strict: false, logger: false });
(addFormats as unknown as (ajv: Ajv2020) => void)(ajv);

const small = fc.integer({ min: -200, max: 200 });
const bound = fc.oneof(
  small,
  small.map((n) => n / 8),
);
/** Two bounds, the lower first, never so near that nothing is between them. */
const range = fc.tuple(bound, fc.integer({ min: 2, max: 5000 })).map(([low, width]) => [low, low + width] as const);
const lengths = fc.tuple(fc.nat(4), fc.nat(6)).map(([min, more]) => [min, min + more] as const);

const leaf = fc.oneof(
  fc.constantFrom({ type: "string" }, { type: "integer" }, { type: "number" }, { type: "boolean" }, { type: "null" }),
  range.map(([minimum, maximum]) => ({ type: "number", minimum, maximum })),
  range.map(([exclusiveMinimum, exclusiveMaximum]) => ({ type: "integer", exclusiveMinimum, exclusiveMaximum })),
  fc.integer({ min: 1, max: 40 }).map((multipleOf) => ({ type: "integer", multipleOf, minimum: -1000, maximum: 1000 })),
  lengths.map(([minLength, maxLength]) => ({ type: "string", minLength, maxLength })),
  fc.constantFrom("date", "uuid", "ipv4", "time", "email").map((format) => ({ type: "string", format })),
  fc
    .constantFrom("^[a-f]{2,9}$", "^(x|yy)*z?$", '^["\\\\]+', "^\\w+ \\d$")
    .map((pattern) => ({ type: "string", pattern })),
  fc.array(fc.jsonValue({ maxDepth: 1 }), { minLength: 1, maxLength: 5 }).map((values) => ({ enum: values })),
  fc.jsonValue({ maxDepth: 2 }).map((value) => ({ const: value })),
  fc.constant({ type: ["string", "null"], maxLength: 3 }),
  fc.constant({ anyOf: [{ $ref: "#" }, { type: "null" }] }),
  fc.constant({ type: "array", items: { $ref: "#" }, maxItems: 1 }),
  lengths.map(([minLength, maxLength]) => ({ type: "string", pattern: "^[a-c]*$|b", minLength, maxLength })),
  fc
    .constantFrom("^(?!a)[a-z]{1,4}$", "^(?=.*b)[ab]+$", "^x(?!y)\\w*$")
    .map((pattern) => ({ type: "string", pattern })),
  fc.constantFrom("^2", "7", "-0[1-6]").map((pattern) => ({ type: "string", format: "date", pattern })),
  fc
    .array(fc.jsonValue({ maxDepth: 1 }), { minLength: 1, maxLength: 5 })
    .map((values) => ({ enum: [...values, "é", 7], maxLength: 3, maximum: 9 })),
  fc.constant({ $ref: "#", description: "the root again" }),
  fc.constantFrom(true, {}, { items: true }),
);

const { value } = fc.letrec<{ value: object | boolean }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    leaf,
    fc
      .tuple(tie("value"), lengths, fc.boolean())
      .map(([items, [minItems, maxItems], bounded]) =>
        bounded ? { type: "array", items, minItems, maxItems } : { type: "array", items },
      ),
    fc.dictionary(fc.string({ unit: "binary", maxLength: 8 }), tie("value"), { maxKeys: 4 }).map(strictObject),
    fc.array(tie("value"), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })),
    fc.array(tie("value"), { minLength: 1, maxLength: 2 }).map((allOf) => ({ allOf })),
    fc.array(tie("value"), { minLength: 1, maxLength: 3 }).map((oneOf) => ({ oneOf })),
    fc
      .tuple(tie("value"), tie("value"))
      .map(([beside, inner]) => ({ ...Object(beside), anyOf: [inner, { type: "string" }] })),
    fc.array(tie("value"), { minLength: 1, maxLength: 3 }).map((inner) => ({
      oneOf: inner.map((v, i) => strictObject({ kind: { const: i }, v })),
    })),
    fc
      .tuple(tie("value"), fc.array(fc.string({ maxLength: 3 }), { maxLength: 3 }))
      .map(([additionalProperties, required]) => ({
        type: "object",
        additionalProperties,
        required: [...new Set(required)],
        propertyNames: { maxLength: 3 },
      })),
  ),
}));

/** What a random schema may rightly be refused for. */
const RIGHTLY = /no finite value|may fit at once|has no value of|which no value has|to itself with nothing in between/;

function compiled(schema: object): Grammar | undefined {
  try {
    return compileGrammar({ type: "json_schema", schema, strict: false });
  } catch (error) {
    if (error instanceof SchemaError && RIGHTLY.test(error.problem)) return undefined;
    throw error;
  }
}

it("every text that ends is valid for its schema", () => {
  let ended = 0;
  let refused = 0;
  fc.assert(
    fc.property(value, fc.integer({ min: 1, max: 2 ** 31 }), (schema, seed) => {
      const root = strictObject({ value: schema });
      const grammar = compiled(root);
      if (!grammar) refused++;
      const text = grammar && draw({ grammar, seed });
      if (text === undefined) return;
      ended++;
      const validate = ajv.compile(root);
      if (!validate(JSON.parse(text))) throw new Error(`${text}: ${ajv.errorsText(validate.errors)}`);
      ajv.removeSchema(root);
    }),
    { numRuns: RUNS, seed: 20_251_122 },
  );
  expect(refused).toBeLessThan(0.35 * RUNS);
  expect(ended).toBeGreaterThan(0.6 * RUNS);
});
