// How large a schema may be: OpenAI's limits for structured outputs ("Supported schemas" in its guide, as of February 2026).
import { SchemaError } from "./errors.ts";
import { type SchemaObject, schemaAt, subschemas } from "./keywords.ts";

const MAX_PROPERTIES = 5000;
const MAX_OBJECT_LEVELS = 10;
const MAX_CHARACTERS = 120_000;
const MAX_ENUM_VALUES = 1000;
/** An enum of more strings than this may have `MAX_LARGE_ENUM_CHARACTERS` in all. */
const LARGE_ENUM = 250;
const MAX_LARGE_ENUM_CHARACTERS = 15_000;
/** Schemas within schemas of any kind, which OpenAI does not count. */
const MAX_LEVELS = 64;

/** @throws SchemaError that names the place where a limit is passed, or where there should be a schema and is none */
export function checkLimits(root: SchemaObject, strict: boolean, at: string): void {
  let properties = 0;
  let characters = 0;
  let enumValues = 0;

  const visit = (value: unknown, path: string, levels: number, objects: number): void => {
    const fail = (problem: string, keyword?: string): never => {
      throw new SchemaError({ path, keyword, problem });
    };
    if (levels > MAX_LEVELS) fail(`is nested in more than ${MAX_LEVELS} schemas`);
    const schema = schemaAt(value, path);
    const inObject = schema.properties !== undefined ? objects + 1 : objects;
    if (strict && inObject > MAX_OBJECT_LEVELS) fail(`is nested in more than ${MAX_OBJECT_LEVELS} levels of objects`);

    const names = ["properties", "$defs", "definitions"].flatMap((keyword) => Object.keys(schema[keyword] ?? {}));
    properties += Object.keys(schema.properties ?? {}).length;
    const values = [...(Array.isArray(schema.enum) ? schema.enum : []), ...("const" in schema ? [schema.const] : [])];
    const texts = values.map((entry) => (typeof entry === "string" ? entry : (JSON.stringify(entry) ?? "")));
    const own = texts.reduce((sum, text) => sum + text.length, 0);
    enumValues += values.length;
    characters += own + names.reduce((sum, name) => sum + name.length, 0);
    if (properties > MAX_PROPERTIES) fail(`brings the schema over ${MAX_PROPERTIES} properties`, "properties");
    if (enumValues > MAX_ENUM_VALUES) fail(`brings the schema over ${MAX_ENUM_VALUES} enum values`, "enum");
    if (values.length > LARGE_ENUM && own > MAX_LARGE_ENUM_CHARACTERS) {
      fail(`has more than ${LARGE_ENUM} values and more than ${MAX_LARGE_ENUM_CHARACTERS} characters`, "enum");
    }
    if (characters > MAX_CHARACTERS) fail(`brings names and values over ${MAX_CHARACTERS} characters`);
    for (const [place, inner] of subschemas(schema, path)) visit(inner, place, levels + 1, inObject);
  };
  visit(root, at, 0, 0);
}
