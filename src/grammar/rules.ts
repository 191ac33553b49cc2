// What one schema object says, read once: its keywords by the type that they hold of, and the schemas that have to hold as well.
import { SchemaError } from "./errors.ts";
import { FORMAT_NAMES, isStandardFormat } from "./formats.ts";
import type { KeywordReader, Mode, Place, SchemaObject, TypeName } from "./keywords.ts";
import { readKeywords, TYPE_KEYWORDS, TYPES, unenforced } from "./keywords.ts";
import type { NumberRange } from "./numbers.ts";
import { type Pattern, PatternError, readPattern } from "./pattern.ts";

export interface TextRules {
  readonly patterns: readonly Pattern[];
  /** Names in `FORMAT_NAMES`. */
  readonly formats: readonly string[];
  readonly min: number;
  readonly max: number | undefined;
}

export interface ListRules {
  /** Each holds of every item. */
  readonly items: readonly Place[];
  readonly min: number;
  readonly max: number | undefined;
}

/** What one schema says of an object's members: `additional` holds of those that have no property. */
export interface MemberRules {
  readonly properties: ReadonlyMap<string, Place>;
  readonly additional: Place | undefined;
  readonly names: Place | undefined;
}

export interface Rules {
  readonly path: string;
  readonly ref: string | undefined;
  /** `allOf`. */
  readonly all: readonly Place[];
  /** `anyOf` and `oneOf`: of each, one of the schemas has to hold, or exactly one. */
  readonly choices: readonly { readonly keyword: "anyOf" | "oneOf"; readonly places: readonly Place[] }[];
  readonly types: readonly TypeName[] | undefined;
  /** The types that it has keywords for. */
  readonly implied: readonly TypeName[];
  /** `enum` or `const`. */
  readonly values: readonly unknown[] | undefined;
  readonly number: Omit<NumberRange, "integer">;
  readonly text: TextRules;
  readonly list: ListRules;
  readonly members: MemberRules;
  /** Names of members that have to be there, and where that is said. */
  readonly required: ReadonlyMap<string, string>;
}

export interface ReadOptions {
  readonly mode: Mode;
  /** Told what is not enforced although the schema is not refused. */
  note(error: SchemaError): void;
}

/** @throws SchemaError for what is malformed or cannot be enforced, unless the mode is lenient */
export function readRules(schema: SchemaObject, path: string, { mode, note }: ReadOptions): Rules {
  const refuse = (keyword: string, problem: string): void => {
    const error = new SchemaError({ path, keyword, problem });
    if (mode !== "lenient") throw error;
    note(error);
  };
  const tell = (keyword: string, problem: string): void => note(new SchemaError({ path, keyword, problem }));
  for (const [keyword, problem] of unenforced(schema)) refuse(keyword, problem);
  const read = readKeywords(schema, path, refuse);
  const types = read.types();
  const given = read.has("const") ? [schema.const] : read.array("enum");
  const both = read.has("const") && read.has("enum");
  if (both) refuse("enum", 'is not supported beside "const"');
  const { properties = new Map<string, Place>(), required } = readMembers(read, path);
  const rules: Rules = {
    path,
    ref: read.string("$ref"),
    all: read.places("allOf") ?? [],
    choices: (["anyOf", "oneOf"] as const).flatMap((keyword) => {
      const places = read.places(keyword);
      return places ? [{ keyword, places }] : [];
    }),
    types,
    implied: TYPES.filter((type) => TYPE_KEYWORDS[type].some((keyword) => read.has(keyword))),
    values: given,
    number: readNumber(read, refuse),
    text: readText(read, mode, refuse, tell),
    list: { items: [read.schema("items") ?? []].flat(), ...readCounts(read, "minItems", "maxItems", refuse) },
    members: { properties, additional: read.schema("additionalProperties"), names: read.schema("propertyNames") },
    required,
  };
  if (mode === "strict") checkStrict(rules, read);
  return rules;
}

type Refuse = (keyword: string, problem: string) => void;

function readMembers(read: KeywordReader, path: string) {
  const required = new Map((read.strings("required") ?? []).map((name) => [name, path]));
  return { properties: read.named("properties"), required };
}

function readCounts(read: KeywordReader, least: string, most: string, refuse: Refuse) {
  const min = read.count(least) ?? 0;
  const max = read.count(most);
  if (max === undefined || max >= min) return { min, max };
  refuse(most, `is less than ${least}`);
  return { min, max: undefined };
}

function readNumber(read: KeywordReader, refuse: Refuse): Omit<NumberRange, "integer"> {
  const limit = (keyword: string, inclusive: boolean) => {
    const value = read.number(keyword);
    return value === undefined ? [] : [{ value, inclusive }];
  };
  const multiple = read.number("multipleOf");
  const isFine = multiple === undefined || multiple > 0;
  if (!isFine) refuse("multipleOf", "must be above 0");
  return {
    above: [...limit("minimum", true), ...limit("exclusiveMinimum", false)],
    below: [...limit("maximum", true), ...limit("exclusiveMaximum", false)],
    multiplesOf: isFine && multiple !== undefined ? [multiple] : [],
  };
}

function readText(read: KeywordReader, mode: Mode, refuse: Refuse, tell: Refuse): TextRules {
  const format = read.string("format");
  const known = format !== undefined && FORMAT_NAMES.includes(format);
  if (format !== undefined && !known && isStandardFormat(format)) {
    const say = mode === "strict" ? refuse : tell;
    say("format", `${JSON.stringify(format)} is not supported: ${FORMAT_NAMES.join(", ")} are`);
  }
  const source = read.string("pattern");
  const patterns: Pattern[] = [];
  try {
    if (source !== undefined) patterns.push(readPattern(source));
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    // The format says what is meant, if not to the letter.
    const say = known && mode !== "strict" && !error.malformed ? tell : refuse;
    say("pattern", `is not supported: ${error.message}`);
  }
  return { patterns, formats: known ? [format] : [], ...readCounts(read, "minLength", "maxLength", refuse) };
}

/** OpenAI's rules for strict schemas. @throws SchemaError */
function checkStrict(rules: Rules, read: KeywordReader): void {
  const fail = (keyword: string, problem: string): never => {
    throw new SchemaError({ path: rules.path, keyword, problem });
  };
  const { types, members, required } = rules;
  const holds = (type: TypeName): boolean => (types ?? []).includes(type) && !rules.values;
  if (holds("object")) {
    const { properties, additional } = members;
    // A record has no properties, but says what its members are.
    if (properties.size === 0 && typeof additional?.schema === "object") return;
    if (additional?.schema !== false) fail("additionalProperties", "must be false in a strict schema");
    const optional = [...properties.keys()].find((name) => !required.has(name));
    if (optional !== undefined) {
      fail("required", `must name every property in a strict schema; it lacks ${JSON.stringify(optional)}`);
    }
    const unknown = [...required.keys()].find((name) => !properties.has(name));
    if (unknown !== undefined) fail("required", `names ${JSON.stringify(unknown)}, which is no property`);
  }
  if (holds("array") && !read.has("items")) fail("items", "is missing: strict schemas say what an array holds");
}
