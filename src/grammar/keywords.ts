// The JSON Schema keywords: those that are enforced, those that say nothing about values, and readers that check a keyword's own value.
import { pointerStep, SchemaError } from "./errors.ts";

/** A schema that is not `true` or `false`. */
export type SchemaObject = Readonly<Record<string, unknown>>;

export const TYPE_KEYWORDS = {
  object: ["properties", "required", "additionalProperties"],
  array: ["items", "minItems", "maxItems"],
  string: ["pattern", "format", "minLength", "maxLength"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  boolean: [],
  null: [],
} as const satisfies Record<string, readonly string[]>;
export type TypeName = keyof typeof TYPE_KEYWORDS;
export const TYPES = Object.keys(TYPE_KEYWORDS) as TypeName[];

/** Keywords of the one form that a schema has; a schema with one of them has no other keyword but `type` beside `enum` and `const`. */
export const FORMS = ["$ref", "anyOf", "enum", "const"] as const;

/** These say nothing about which values are valid. */
const ANNOTATIONS = new Set([
  ...["$schema", "$id", "$comment", "$defs", "definitions", "title", "description", "default", "examples"],
  ...["deprecated", "readOnly", "writeOnly", "contentEncoding", "contentMediaType"],
]);
const ENFORCED = new Set<string>(["type", ...FORMS, ...Object.values(TYPE_KEYWORDS).flat()]);

const INSTEAD: Record<string, string> = {
  oneOf: "use anyOf",
  allOf: "write the combined schema out",
  prefixItems: "use an object with a property for each place",
  nullable: 'add "null" to type',
};

const isObject = (value: unknown): value is SchemaObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The schema's keywords that say something about values. @throws SchemaError for one that is not enforced */
export function keywordsOf(schema: SchemaObject, path: string): string[] {
  const keywords = Object.keys(schema).filter((keyword) => !ANNOTATIONS.has(keyword) && !keyword.startsWith("x-"));
  for (const keyword of keywords) {
    if (ENFORCED.has(keyword)) continue;
    const instead = INSTEAD[keyword];
    throw new SchemaError({ path, keyword, problem: `is not supported${instead ? `: ${instead}` : ""}` });
  }
  return keywords;
}

/** @throws SchemaError unless it is an object (a schema that is `true` or `false` says too little to write a value by) */
export function schemaAt(value: unknown, path: string): SchemaObject {
  if (isObject(value)) return value;
  throw new SchemaError({ path, problem: "must be a schema object" });
}

export interface KeywordReader {
  has(keyword: string): boolean;
  /** A keyword of another kind is refused; an absent one is undefined. */
  count(keyword: string): number | undefined;
  number(keyword: string): number | undefined;
  string(keyword: string): string | undefined;
  strings(keyword: string): readonly string[] | undefined;
  array(keyword: string): readonly unknown[] | undefined;
  schemas(keyword: string): SchemaObject | undefined;
  /** `type`: a name or several. */
  types(): readonly string[] | undefined;
  fail(keyword: string, problem: string): never;
}

/** Reads keywords' values. Each method throws SchemaError for a value of the wrong kind. */
export function readKeywords(schema: SchemaObject, path: string): KeywordReader {
  const fail = (keyword: string, problem: string): never => {
    throw new SchemaError({ path, keyword, problem });
  };
  const read = <T>(keyword: string, is: (value: unknown) => value is T, kind: string): T | undefined => {
    const value = Object.hasOwn(schema, keyword) ? schema[keyword] : undefined;
    return value === undefined || is(value) ? value : fail(keyword, `must be ${kind}`);
  };
  const isString = (value: unknown): value is string => typeof value === "string";
  const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);
  return {
    has: (keyword) => Object.hasOwn(schema, keyword),
    count: (keyword) =>
      read(keyword, (v): v is number => Number.isSafeInteger(v) && (v as number) >= 0, "an integer of at least 0"),
    number: (keyword) => read(keyword, isNumber, "a number"),
    string: (keyword) => read(keyword, isString, "a string"),
    strings: (keyword) =>
      read(keyword, (v): v is string[] => Array.isArray(v) && v.every(isString), "an array of strings"),
    array: (keyword) => read(keyword, (v): v is unknown[] => Array.isArray(v) && v.length > 0, "an array with entries"),
    schemas: (keyword) => read(keyword, isObject, "an object of schemas"),
    types: () => {
      const isNames = (v: unknown): v is string[] => Array.isArray(v) && v.length > 0 && v.every(isString);
      const names = read("type", (v): v is string | string[] => isString(v) || isNames(v), "a type's name or several");
      return typeof names === "string" ? [names] : names;
    },
    fail,
  };
}

/** What a local `$ref` points to. @throws SchemaError when there is nothing, or the reference leaves the document */
export function resolveRef(root: SchemaObject, ref: string, path: string): SchemaObject {
  const fail = (problem: string): never => {
    throw new SchemaError({ path, keyword: "$ref", problem });
  };
  if (ref !== "#" && !ref.startsWith("#/")) return fail(`${ref} is not supported: only "#" and "#/…" are`);
  let at: unknown = root;
  for (const step of ref.split("/").slice(1)) {
    const key = decode(step).replaceAll("~1", "/").replaceAll("~0", "~");
    const inside = typeof at === "object" && at !== null && Object.hasOwn(at, key);
    at = inside ? (at as Record<string, unknown>)[key] : undefined;
  }
  return isObject(at) ? at : fail(`${ref} points to no schema`);
}

function decode(step: string): string {
  try {
    return decodeURIComponent(step);
  } catch {
    return step;
  }
}

/** Every schema that stands directly within one, with its pointer. */
export function* subschemas(schema: SchemaObject, path: string): Generator<readonly [string, unknown]> {
  for (const keyword of ["properties", "$defs", "definitions"]) {
    const inner = schema[keyword];
    if (!isObject(inner)) continue;
    for (const [name, value] of Object.entries(inner)) yield [pointerStep(`${path}/${keyword}`, name), value];
  }
  for (const keyword of ["items", "additionalProperties"]) {
    if (isObject(schema[keyword])) yield [`${path}/${keyword}`, schema[keyword]];
  }
  if (Array.isArray(schema.anyOf)) for (const [i, value] of schema.anyOf.entries()) yield [`${path}/anyOf/${i}`, value];
}
