// The JSON Schema keywords: those that are enforced, those that say nothing about values, and readers that check a keyword's own value.
import { pointerStep, SchemaError } from "./errors.ts";
import { type Exact, exactNumber } from "./exact.ts";

/** A schema that is not `true` or `false`. */
export type SchemaObject = Readonly<Record<string, unknown>>;

/** A schema and its pointer. */
export interface Place {
  readonly schema: unknown;
  readonly path: string;
}

/**
 * What becomes of a keyword that is malformed or cannot be enforced. `strict`, `enforced`: the schema is
 * refused. `lenient`: the keyword is left out. `strict` also has OpenAI's rules for strict schemas.
 */
export type Mode = "strict" | "enforced" | "lenient";

export const TYPE_KEYWORDS = {
  object: ["properties", "required", "additionalProperties", "propertyNames"],
  array: ["items", "minItems", "maxItems"],
  string: ["pattern", "format", "minLength", "maxLength"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  boolean: [],
  null: [],
} as const satisfies Record<string, readonly string[]>;
export type TypeName = keyof typeof TYPE_KEYWORDS;
export const TYPES = Object.keys(TYPE_KEYWORDS) as TypeName[];

/** Keywords that hold of values of every type. */
const FORMS = ["$ref", "anyOf", "oneOf", "allOf", "enum", "const"] as const;

/** These say nothing about which values are valid. */
const ANNOTATIONS = new Set([
  ...["$schema", "$id", "$anchor", "$comment", "$defs", "definitions", "title", "description", "default"],
  ...["example", "examples", "deprecated", "readOnly", "writeOnly", "discriminator", "externalDocs", "xml"],
  ...["contentEncoding", "contentMediaType", "contentSchema"],
]);
const ENFORCED = new Set<string>(["type", ...FORMS, ...Object.values(TYPE_KEYWORDS).flat()]);

const isEmpty = (value: unknown): boolean => isObject(value) && Object.keys(value).length === 0;
const isOpen = (value: unknown): boolean => value === true || isEmpty(value);
/** Keywords that are not enforced, and the values with which they say nothing. */
const NO_EFFECT: Record<string, (value: unknown, schema: SchemaObject) => boolean> = {
  nullable: (value) => value === false,
  uniqueItems: (value) => value === false,
  minProperties: (value, { required }) =>
    typeof value === "number" && value <= (Array.isArray(required) ? new Set(required).size : 0),
  patternProperties: isEmpty,
  dependentRequired: isEmpty,
  dependentSchemas: isEmpty,
  dependencies: isEmpty,
  unevaluatedProperties: isOpen,
  unevaluatedItems: isOpen,
  additionalItems: isOpen,
  not: (value) => value === false,
  minContains: (_, schema) => !("contains" in schema),
  maxContains: (_, schema) => !("contains" in schema),
  if: (_, schema) => !("then" in schema || "else" in schema),
  // biome-ignore lint/suspicious/noThenProperty: JSON Schema's keyword.
  then: (_, schema) => !("if" in schema),
  else: (_, schema) => !("if" in schema),
};

const INSTEAD: Record<string, string> = {
  prefixItems: "use an object with a property for each place",
  nullable: 'add "null" to type',
  patternProperties: "use propertyNames with a pattern, and additionalProperties",
};

const isObject = (value: unknown): value is SchemaObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The schema's keywords that say something about values but are not enforced. */
export function unenforced(schema: SchemaObject): (readonly [keyword: string, problem: string])[] {
  return Object.keys(schema)
    .filter((keyword) => !ENFORCED.has(keyword) && !ANNOTATIONS.has(keyword) && !keyword.startsWith("x-"))
    .filter((keyword) => !(Object.hasOwn(NO_EFFECT, keyword) && NO_EFFECT[keyword]?.(schema[keyword], schema)))
    .map((keyword) => {
      const instead = Object.hasOwn(INSTEAD, keyword) ? INSTEAD[keyword] : undefined;
      return [keyword, `is not supported${instead ? `: ${instead}` : ""}`];
    });
}

/** @throws SchemaError unless it is a schema */
export function schemaAt(value: unknown, path: string): SchemaObject | boolean {
  if (isObject(value) || typeof value === "boolean") return value;
  throw new SchemaError({ path, problem: "must be a schema object" });
}

/** The same, but in lenient mode what is no schema allows everything and is noted. */
export function schemaOr(
  { schema, path }: Place,
  mode: Mode,
  note: (error: SchemaError) => void,
): SchemaObject | boolean {
  try {
    return schemaAt(schema, path);
  } catch (error) {
    if (mode !== "lenient" || !(error instanceof SchemaError)) throw error;
    note(error);
    return true;
  }
}

export interface KeywordReader {
  has(keyword: string): boolean;
  /** A keyword of another kind is refused, or left out; an absent one is undefined. */
  count(keyword: string): number | undefined;
  number(keyword: string): Exact | undefined;
  string(keyword: string): string | undefined;
  strings(keyword: string): readonly string[] | undefined;
  array(keyword: string): readonly unknown[] | undefined;
  /** A schema. */
  schema(keyword: string): Place | undefined;
  /** Schemas in a list. */
  places(keyword: string): readonly Place[] | undefined;
  /** Schemas by name. */
  named(keyword: string): ReadonlyMap<string, Place> | undefined;
  /** `type`: a name or several. */
  types(): readonly TypeName[] | undefined;
}

/** @param refuse is told of a keyword whose value is of the wrong kind; when it returns, the keyword is left out */
export function readKeywords(
  schema: SchemaObject,
  path: string,
  refuse: (keyword: string, problem: string) => void,
): KeywordReader {
  const read = <T>(keyword: string, take: (value: unknown) => T | undefined, kind: string): T | undefined => {
    if (!Object.hasOwn(schema, keyword)) return undefined;
    const taken = take(schema[keyword]);
    if (taken === undefined) refuse(keyword, `must be ${kind}`);
    return taken;
  };
  const isString = (value: unknown): value is string => typeof value === "string";
  const isSchema = (value: unknown): boolean => isObject(value) || typeof value === "boolean";
  const place = (inner: unknown, at: string): Place => ({ schema: inner, path: at });
  return {
    has: (keyword) => Object.hasOwn(schema, keyword),
    count: (keyword) => read(keyword, countOf, "an integer of at least 0"),
    number: (keyword) => read(keyword, exactNumber, "a number"),
    string: (keyword) => read(keyword, (v) => (isString(v) ? v : undefined), "a string"),
    strings: (keyword) =>
      read(keyword, (v) => (Array.isArray(v) && v.every(isString) ? v : undefined), "an array of strings"),
    array: (keyword) =>
      read<unknown[]>(keyword, (v) => (Array.isArray(v) && v.length > 0 ? v : undefined), "an array with entries"),
    schema: (keyword) =>
      read(keyword, (v) => (isSchema(v) ? place(v, `${path}/${keyword}`) : undefined), "a schema object"),
    places: (keyword) =>
      read(
        keyword,
        (v) =>
          Array.isArray(v) && v.length > 0 ? v.map((inner, i) => place(inner, `${path}/${keyword}/${i}`)) : undefined,
        "an array with entries",
      ),
    named: (keyword) =>
      read(
        keyword,
        (v) =>
          isObject(v)
            ? new Map(
                Object.entries(v).map(([name, inner]) => [name, place(inner, pointerStep(`${path}/${keyword}`, name))]),
              )
            : undefined,
        "an object of schemas",
      ),
    types: () => {
      const isNames = (v: unknown): v is string[] => Array.isArray(v) && v.length > 0 && v.every(isString);
      const names = read("type", (v) => (isString(v) ? [v] : isNames(v) ? v : undefined), "a type's name or several");
      const unknown = names?.find((name) => !Object.hasOwn(TYPE_KEYWORDS, name));
      if (unknown === undefined) return names as readonly TypeName[] | undefined;
      refuse("type", `${JSON.stringify(unknown)} is none of ${TYPES.join(", ")}`);
      return undefined;
    },
  };
}

function countOf(value: unknown): number | undefined {
  const count = Number(exactNumber(value) ?? -1);
  return Number.isInteger(count) && count >= 0 ? Math.min(count, Number.MAX_SAFE_INTEGER) : undefined;
}

/** What a local `$ref` points to. @throws SchemaError when there is nothing, or the reference leaves the document */
export function resolveRef(root: unknown, ref: string, path: string): SchemaObject | boolean {
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
  return isObject(at) || typeof at === "boolean" ? at : fail(`${ref} points to no schema`);
}

function decode(step: string): string {
  try {
    return decodeURIComponent(step);
  } catch {
    return step;
  }
}

/** Every schema that stands directly within one. */
export function* subschemas(schema: SchemaObject, path: string): Generator<Place> {
  for (const keyword of ["properties", "$defs", "definitions"]) {
    const inner = schema[keyword];
    if (!isObject(inner)) continue;
    for (const [name, value] of Object.entries(inner)) {
      yield { schema: value, path: pointerStep(`${path}/${keyword}`, name) };
    }
  }
  for (const keyword of ["items", "additionalProperties", "propertyNames"]) {
    if (isObject(schema[keyword])) yield { schema: schema[keyword], path: `${path}/${keyword}` };
  }
  for (const keyword of ["anyOf", "oneOf", "allOf"]) {
    const list = schema[keyword];
    if (!Array.isArray(list)) continue;
    for (const [i, value] of list.entries()) yield { schema: value, path: `${path}/${keyword}/${i}` };
  }
}
