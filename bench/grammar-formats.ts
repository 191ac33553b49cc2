// Output formats for `npm run bench:grammar`: what requests have in daily life, and what is hard to follow.
import type { OutputFormat } from "../src/grammar/index.ts";

const object = (properties: Record<string, unknown>): Record<string, unknown> => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
});
const text = { type: "string" };
const schema = (properties: Record<string, unknown>, rest: object = {}): OutputFormat => ({
  type: "json_schema",
  schema: { ...object(properties), ...rest },
});
const many = (count: number, make: (i: number) => unknown): Record<string, unknown> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`property_${i}`, make(i)]));

export const FORMATS: Readonly<Record<string, OutputFormat>> = {
  json_object: { type: "json_object" },
  "event: 3 fields": schema({
    name: text,
    date: { type: "string", format: "date" },
    participants: { type: "array", items: text },
  }),
  "steps: objects in a list": schema({
    steps: { type: "array", items: object({ explanation: text, output: text }) },
    answer: { type: "number", minimum: 0, maximum: 10_000 },
  }),
  "tree: recursive": schema(
    { root: { $ref: "#/$defs/node" } },
    { $defs: { node: object({ label: text, children: { type: "array", items: { $ref: "#/$defs/node" } } }) } },
  ),
  "100 properties": schema(many(100, (i) => ({ type: ["string", "integer", "number", "boolean"][i % 4] }))),
  "10 enums of 50": schema(many(10, (i) => ({ enum: Array.from({ length: 50 }, (_, j) => `value ${i} ${j * 7919}`) }))),
  "string of 1,000 at most": schema({ text: { type: "string", minLength: 10, maxLength: 1000 } }),
  "address by pattern": schema({
    mail: { type: "string", pattern: "^[a-zA-Z0-9._%+-]{1,64}@[a-zA-Z0-9.-]{1,255}\\.[a-zA-Z]{2,10}$" },
  }),
  "a tool call or text": {
    type: "tool_calls",
    otherwise: { type: "text" },
    several: true,
    tools: [
      {
        name: "get_weather",
        strict: true,
        parameters: object({ city: text, unit: { enum: ["celsius", "fahrenheit"] } }),
      },
    ],
  },
};

/** Schemas with a text each that they do not allow. */
export const REFUSED: readonly (readonly [schema: object, text: string])[] = [
  [{ type: "number", minimum: 0, maximum: 10 }, "10.5"],
  [{ type: "number", minimum: 0, exclusiveMaximum: 10 }, "10.0"],
  [{ type: "integer", multipleOf: 5 }, "7"],
  [{ type: "string", pattern: "^a.b$" }, '"a"b"'],
  [{ type: "string", format: "date" }, '"2023-02-30"'],
];
