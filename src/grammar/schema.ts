// A JSON schema as a piece of grammar. What is not enforced is refused by name; every value that the grammar writes is valid, and only
// values that the schema's author would rather not see are left out: properties that the schema does not name, extra whitespace.
import { type AutomatonBuilder, type Fragment, GrammarTooLarge, type State } from "./automaton.ts";
import { pointerStep, SchemaError } from "./errors.ts";
import { FORMATS } from "./formats.ts";
import type { Fragments } from "./fragments.ts";
import type { JsonFragments } from "./json.ts";
import {
  FORMS,
  type KeywordReader,
  keywordsOf,
  readKeywords,
  resolveRef,
  type SchemaObject,
  schemaAt,
  TYPE_KEYWORDS,
  TYPES,
  type TypeName,
} from "./keywords.ts";
import { checkLimits } from "./limits.ts";
import { numbers } from "./numbers.ts";
import { PatternError, pattern } from "./pattern.ts";

export interface SchemaOptions {
  readonly builder: AutomatonBuilder;
  readonly make: Fragments;
  readonly json: JsonFragments;
  readonly schema: unknown;
  /** Whether OpenAI's strict rules hold: every property required, no additional ones, a type everywhere, an object at the root. */
  readonly strict: boolean;
  /** The schema's own path, for errors. */
  readonly at: string;
}

export interface SchemaFragment {
  readonly fragment: Fragment;
  /** To be called when all is put together. @throws SchemaError when no finite value can match */
  check(): void;
}

/** @throws SchemaError that names keyword and place; the fragment too, when the grammar gets too large */
export function schemaFragment({ builder, make, json, schema, strict, at }: SchemaOptions): SchemaFragment {
  const root = schemaAt(schema, at);
  checkLimits(root, strict, at);
  const rules = new Map<string, Fragment>();
  /** Schemas that `isEndless` has found to be fine. */
  const ending = new Set<SchemaObject>();
  /** Where each schema begins and what follows it, innermost first. */
  const places: { path: string; state: State; next: State }[] = [];

  /** Tells which schema a grammar became too large at, and remembers where it begins. */
  const place =
    (path: string, fragment: Fragment): Fragment =>
    (next) => {
      try {
        const state = fragment(next);
        places.push({ path, state, next });
        return state;
      } catch (error) {
        if (!(error instanceof GrammarTooLarge)) throw error;
        const problem =
          "makes the grammar too large: lower what repeats in it (maxItems, maxLength, {m,n} in a pattern)";
        throw new SchemaError({ path, problem });
      }
    };

  const node = (value: unknown, path: string): Fragment => place(path, fragmentOf(schemaAt(value, path), path));

  const fragmentOf = (own: SchemaObject, path: string): Fragment => {
    const keywords = keywordsOf(own, path);
    const read = readKeywords(own, path);
    const form = FORMS.find((keyword) => read.has(keyword));
    if (!form) return ofTypes(own, path, read);
    const typed = form === "enum" || form === "const";
    const beside = keywords.find((keyword) => keyword !== form && !(typed && keyword === "type"));
    if (beside !== undefined) read.fail(beside, `is not supported beside "${form}"`);
    if (form === "$ref") return reference(read.string("$ref") ?? "", path);
    if (form === "anyOf") {
      const schemas = read.array("anyOf") ?? [];
      return make.choice(...schemas.map((inner, i) => node(inner, `${path}/anyOf/${i}`)));
    }
    const types = typesOf(read);
    const values = form === "const" ? [own.const] : (read.array("enum") ?? []);
    const fitting = types ? values.filter((entry) => types.some((type) => isOfType(entry, type))) : values;
    if (fitting.length === 0) read.fail(form, "has no value of the schema's type");
    return json.constants(fitting);
  };

  const reference = (ref: string, path: string): Fragment => {
    const known = rules.get(ref);
    if (known) return known;
    const target = resolveRef(root, ref, path);
    if (isEndless(target, path)) {
      throw new SchemaError({ path, keyword: "$ref", problem: `${ref} refers to itself with nothing in between` });
    }
    const rule = make.rule(() => node(target, at + ref.slice(1)));
    rules.set(ref, rule);
    return rule;
  };
  /** Whether references and choices alone lead from a schema to one that leads to itself: no byte would be read on the way. */
  const isEndless = (start: SchemaObject, path: string): boolean => {
    const way = new Set<SchemaObject>();
    const due = [start];
    for (let schema = due.at(-1); schema; schema = due.at(-1)) {
      if (way.has(schema) || ending.has(schema)) {
        way.delete(schema);
        ending.add(schema);
        due.pop();
        continue;
      }
      way.add(schema);
      const { $ref, anyOf } = schema;
      const inner = Array.isArray(anyOf) ? anyOf.map((choice) => schemaAt(choice, path)) : [];
      if (typeof $ref === "string") inner.push(resolveRef(root, $ref, path));
      if (inner.some((next) => way.has(next))) return true;
      due.push(...inner);
    }
    return false;
  };

  const ofTypes = (own: SchemaObject, path: string, read: KeywordReader): Fragment => {
    const types = typesOf(read);
    if (!types && strict) {
      throw new SchemaError({ path, keyword: "type", problem: "is missing: strict schemas have it everywhere" });
    }
    const wanted = types ?? TYPES.filter((type) => TYPE_KEYWORDS[type].some((keyword) => read.has(keyword)));
    if (wanted.length === 0) return json.value;
    const table: Record<TypeName, () => Fragment> = {
      object: () => object(own, path, read),
      array: () => array(own, path, read),
      string: () => string(read),
      number: () => number(read, false),
      integer: () => number(read, true),
      boolean: () => json.boolean,
      null: () => json.null,
    };
    return make.choice(...wanted.map((type) => table[type]()));
  };

  const object = (own: SchemaObject, path: string, read: KeywordReader): Fragment => {
    const properties = new Map(Object.entries(read.schemas("properties") ?? {}));
    const required = new Set(read.strings("required"));
    const additional = own.additionalProperties;
    if (strict) {
      if (additional !== false) read.fail("additionalProperties", "must be false in a strict schema");
      const optional = [...properties.keys()].find((name) => !required.has(name));
      if (optional !== undefined) {
        read.fail("required", `must name every property in a strict schema; it lacks ${JSON.stringify(optional)}`);
      }
      const unknown = [...required].find((name) => !properties.has(name));
      if (unknown !== undefined) read.fail("required", `names ${JSON.stringify(unknown)}, which is no property`);
    }
    for (const name of required) if (!properties.has(name)) properties.set(name, {});
    if (properties.size === 0 && additional !== false) {
      const isSchema = additional !== undefined && additional !== true;
      return json.map(isSchema ? node(additional, `${path}/additionalProperties`) : json.value);
    }
    const members = [...properties].map(([name, inner]) => ({
      isRequired: required.has(name),
      fragment: make.sequence(
        make.literal(JSON.stringify(name)),
        json.colon,
        node(inner, pointerStep(`${path}/properties`, name)),
      ),
    }));
    return (next) => {
      // From the last member to the first: `after` follows a member that was written, `first` follows none.
      const end = builder.byte(0x7d, 0x7d, next);
      let after = end;
      let first = end;
      for (const { isRequired, fragment } of members.toReversed()) {
        const member = fragment(after);
        const another = json.comma(member);
        first = isRequired ? member : builder.any([member, first]);
        after = isRequired ? another : builder.any([another, after]);
      }
      return builder.byte(0x7b, 0x7b, first);
    };
  };

  const array = (own: SchemaObject, path: string, read: KeywordReader): Fragment => {
    const min = read.count("minItems") ?? 0;
    const max = read.count("maxItems");
    if (max !== undefined && max < min) read.fail("maxItems", "is less than minItems");
    if (strict && !read.has("items")) read.fail("items", "is missing: strict schemas say what an array holds");
    const item = read.has("items") ? node(own.items, `${path}/items`) : json.value;
    return json.list(item, min, max);
  };

  const string = (read: KeywordReader): Fragment => {
    const source = read.string("pattern");
    const format = read.string("format");
    const min = read.count("minLength") ?? 0;
    const max = read.count("maxLength");
    const sized = read.has("minLength") ? "minLength" : read.has("maxLength") ? "maxLength" : undefined;
    const rule = source !== undefined ? "pattern" : format !== undefined ? "format" : undefined;
    if (source !== undefined && format !== undefined) read.fail("format", 'is not supported beside "pattern"');
    if (rule && sized) read.fail(sized, `is not supported beside "${rule}": say the length in a pattern`);
    if (max !== undefined && max < min) read.fail("maxLength", "is less than minLength");
    const known = format === undefined || Object.hasOwn(FORMATS, format);
    if (!known)
      read.fail("format", `${JSON.stringify(format)} is not supported: ${Object.keys(FORMATS).join(", ")} are`);
    const text = source ?? (format === undefined ? undefined : FORMATS[format]);
    if (text === undefined) return sized ? quoted(make.repeat(json.character, min, max)) : json.string;
    try {
      return quoted(pattern(text, { make, characters: json.characters }));
    } catch (error) {
      if (!(error instanceof PatternError)) throw error;
      return read.fail("pattern", `is not supported: ${error.message}`);
    }
  };
  const quoted = (inner: Fragment): Fragment => make.sequence(make.literal('"'), inner, make.literal('"'));

  const number = (read: KeywordReader, integer: boolean): Fragment => {
    const multipleOf = read.number("multipleOf");
    if (multipleOf !== undefined && multipleOf <= 0) read.fail("multipleOf", "must be above 0");
    if (!TYPE_KEYWORDS.number.some((keyword) => read.has(keyword))) return integer ? json.integer : json.number;
    return numbers(builder, {
      integer,
      multipleOf,
      minimum: read.number("minimum"),
      maximum: read.number("maximum"),
      exclusiveMinimum: read.number("exclusiveMinimum"),
      exclusiveMaximum: read.number("exclusiveMaximum"),
    });
  };

  if (strict) {
    const target = typeof root.$ref === "string" ? resolveRef(root, root.$ref, at) : root;
    if (target.type !== "object") {
      throw new SchemaError({ path: at, keyword: "type", problem: 'must be "object" at the root of a strict schema' });
    }
  }
  const fragment = node(root, at);
  let whole: State | undefined;
  return {
    fragment: (next) => {
      whole = fragment(next);
      return whole;
    },
    check() {
      const reaches = builder.productive();
      if (whole === undefined || reaches[whole]) return;
      const { path } = places.find(({ state, next }) => !reaches[state] && reaches[next]) ?? { path: at };
      throw new SchemaError({
        path,
        problem: "no finite value can match: bounds exclude all, or it always holds itself",
      });
    },
  };
}

/** The schema's types; undefined when it has no `type`. @throws SchemaError for one that JSON Schema does not have */
function typesOf(read: KeywordReader): readonly TypeName[] | undefined {
  const names = read.types();
  const unknown = names?.find((name) => !Object.hasOwn(TYPE_KEYWORDS, name));
  if (unknown !== undefined) read.fail("type", `${JSON.stringify(unknown)} is none of ${TYPES.join(", ")}`);
  return names as readonly TypeName[] | undefined;
}

function isOfType(value: unknown, type: TypeName): boolean {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "integer") return Number.isInteger(value);
  return type === "object"
    ? typeof value === "object" && value !== null && !Array.isArray(value)
    : typeof value === type;
}
