// What several schemas say together. References, `allOf` and choices are resolved into shapes: each shape
// is a plain conjunction of keywords, and a value is valid where it fits one of them.

import type { Steps, Work } from "../work.ts";
import { SchemaError } from "./errors.ts";
import { canonical, exactNumber } from "./exact.ts";
import { type Mode, type Place, resolveRef, type SchemaObject, schemaOr, type TypeName } from "./keywords.ts";
import { isEmptyRange, isWithin } from "./numbers.ts";
import { type ListRules, type MemberRules, type Rules, readRules, type TextRules } from "./rules.ts";
import type { Texts } from "./texts.ts";

export interface Shape extends Pick<Rules, "values" | "number" | "text" | "list" | "required"> {
  /** Of the first schema that says something. */
  readonly path: string;
  /** Types that are allowed; undefined where no schema says. */
  readonly types: readonly TypeName[] | undefined;
  /** Types that there are keywords for. */
  readonly implied: readonly TypeName[];
  readonly members: readonly MemberRules[];
}

export interface Shapes {
  read(schema: SchemaObject, path: string): Rules;
  /** The schemas that a place's own reference leads to at once. @throws SchemaError unless the mode is lenient */
  resolve(ref: string, path: string): Steps<Place>;
  /** All ways in which all of the schemas can hold. */
  expand(places: readonly Place[]): Steps<readonly Shape[]>;
  /** The schemas that a member of this name has to fit. */
  memberPlaces(shape: Shape, name: string): readonly Place[];
  /** Whether a member may have this name. */
  allowsName(shape: Shape, name: string): Steps<boolean>;
  /** The shape's constants that fit the rest of it; undefined where it has none. */
  constants(shape: Shape): Steps<readonly unknown[] | undefined>;
  /** The rules with a `oneOf` that were read so far. */
  exclusive(): Iterable<Rules>;
  /** Whether it is certain that no value that a grammar writes fits all of the schemas. */
  isNever(places: readonly Place[]): Steps<boolean>;
}

export interface ShapesOptions {
  readonly root: unknown;
  /** The root's own path. */
  readonly at: string;
  readonly mode: Mode;
  /** Paths of schemas that count as `true`. */
  readonly opened: ReadonlySet<string>;
  readonly texts: Texts;
  readonly work: Work;
  note(error: SchemaError): void;
}

/** How deep schemas are compared. Deeper, they count as not excluding each other. */
const MAX_COMPARED = 8;

const NO_TEXT: TextRules = { patterns: [], formats: [], min: 0, max: undefined };
const NO_LIST: ListRules = { items: [], min: 0, max: undefined };
const ANYTHING: Shape = {
  path: "",
  types: undefined,
  implied: [],
  values: undefined,
  number: { above: [], below: [], multiplesOf: [] },
  text: NO_TEXT,
  list: NO_LIST,
  members: [],
  required: new Map(),
};

export function createShapes({ root, at, mode, opened, texts, work, note }: ShapesOptions): Shapes {
  const rulesOf = new Map<SchemaObject, Rules>();
  /** Schemas that `isEndless` has found to be fine. */
  const ending = new Set<unknown>();

  const read = (schema: SchemaObject, path: string): Rules => {
    const known = rulesOf.get(schema);
    if (known) return known;
    work.spend(50 + 5 * Object.keys(schema).length);
    const rules = readRules(schema, path, { mode, note });
    work.spend(rules.members.properties.size + rules.required.size + (rules.values?.length ?? 0));
    rulesOf.set(schema, rules);
    return rules;
  };
  const targets = new Map<string, SchemaObject | boolean>();
  const targetOf = (ref: string, path: string): SchemaObject | boolean => {
    const target = targets.get(ref) ?? resolveRef(root, ref, path);
    work.spend(targets.has(ref) ? 5 : 50 + ref.length);
    targets.set(ref, target);
    return target;
  };
  function* resolve(ref: string, path: string): Steps<Place> {
    try {
      const schema = targetOf(ref, path);
      if (!(yield* isEndless(schema, path))) return { schema, path: at + ref.slice(1) };
      throw new SchemaError({ path, keyword: "$ref", problem: `${ref} refers to itself with nothing in between` });
    } catch (error) {
      if (mode !== "lenient" || !(error instanceof SchemaError)) throw error;
      note(error);
      return { schema: true, path };
    }
  }
  /** Whether references and choices alone lead from a schema to one that leads to itself: no byte would be read on the way. */
  function* isEndless(start: unknown, path: string): Steps<boolean> {
    const way = new Set<unknown>();
    const due = [start];
    for (let schema = due.at(-1); due.length > 0; schema = due.at(-1)) {
      work.spend(5);
      if (work.takeTurn()) yield;
      if (way.has(schema) || ending.has(schema)) {
        way.delete(schema);
        ending.add(schema);
        due.pop();
        continue;
      }
      way.add(schema);
      if (typeof schema !== "object" || schema === null) continue;
      const { $ref, anyOf, oneOf, allOf } = schema as SchemaObject;
      const inner: unknown[] = [anyOf, oneOf, allOf].flatMap((list) => (Array.isArray(list) ? list : []));
      if (typeof $ref === "string") inner.push(targetOf($ref, path));
      if (inner.some((next) => typeof next === "object" && way.has(next))) return true;
      due.push(...inner);
    }
    return false;
  }

  function* expand(places: readonly Place[]): Steps<readonly Shape[]> {
    if (work.takeTurn()) yield;
    const seen = new Set<unknown>();
    const due = [...places];
    const choices: (readonly Place[])[] = [];
    let shapes: readonly Shape[] = [ANYTHING];
    for (const place of due) {
      const schema = opened.has(place.path) ? true : schemaOr(place, mode, note);
      if (schema === false) return [];
      if (schema === true || seen.has(schema)) continue;
      seen.add(schema);
      const rules = read(schema, place.path);
      shapes = shapes.map((shape) => both(shape, shapeOf(rules)));
      if (rules.ref !== undefined) due.push(yield* resolve(rules.ref, place.path));
      due.push(...rules.all);
      choices.push(...rules.choices.map((choice) => choice.places));
    }
    for (const branches of choices) {
      const ways: Shape[] = [];
      for (const place of branches) ways.push(...(yield* expand([place])));
      const combined: Shape[] = [];
      for (const shape of shapes) {
        if (work.takeTurn()) yield;
        for (const way of ways) combined.push(both(shape, way));
      }
      shapes = combined.filter(isPossible);
    }
    return shapes;
  }
  /** What two shapes say together. */
  const both = (a: Shape, b: Shape): Shape => {
    work.spend(20 + a.required.size + b.required.size + (a.values?.length ?? 0) + (b.values?.length ?? 0));
    return {
      path: a.path || b.path,
      types: commonTypes(a.types, b.types),
      implied: [...new Set([...a.implied, ...b.implied])],
      values: commonValues(a.values, b.values),
      number: {
        above: [...a.number.above, ...b.number.above],
        below: [...a.number.below, ...b.number.below],
        multiplesOf: [...a.number.multiplesOf, ...b.number.multiplesOf],
      },
      text: {
        patterns: [...a.text.patterns, ...b.text.patterns],
        formats: [...a.text.formats, ...b.text.formats],
        ...counts(a.text, b.text),
      },
      list: { items: [...a.list.items, ...b.list.items], ...counts(a.list, b.list) },
      members: [...a.members, ...b.members],
      required: b.required.size > 0 ? new Map([...a.required, ...b.required]) : a.required,
    };
  };

  const memberPlaces = ({ members }: Shape, name: string): readonly Place[] => {
    work.spend(2 + members.length);
    return members.flatMap(({ properties, additional }) => properties.get(name) ?? additional ?? []);
  };
  function* allowsName({ members }: Shape, name: string): Steps<boolean> {
    for (const { names } of members) if (names && !(yield* allows([names], name))) return false;
    return true;
  }

  /** Whether a constant fits schemas. */
  function* allows(places: readonly Place[], value: unknown): Steps<boolean> {
    if (work.takeTurn()) yield;
    for (const shape of yield* expand(places)) if (yield* fits(shape, value)) return true;
    return false;
  }
  function* fits(shape: Shape, value: unknown): Steps<boolean> {
    work.spend(20);
    const { types, values, number, text } = shape;
    if (types && !types.some((type) => isOfType(value, type))) return false;
    if (values) {
      const key = canonical(value);
      work.spend(values.length + key.length);
      if (!values.some((entry) => canonical(entry) === key)) return false;
    }
    const exact = exactNumber(value);
    if (exact !== undefined) return isWithin(exact, { integer: false, ...number });
    if (typeof value === "string") return yield* texts.allows(text, value);
    if (Array.isArray(value)) return yield* fitsList(shape.list, value);
    return typeof value === "object" && value !== null ? yield* fitsMembers(shape, value) : true;
  }
  function* fitsList({ items, min, max }: ListRules, value: readonly unknown[]): Steps<boolean> {
    if (value.length < min || value.length > (max ?? value.length)) return false;
    if (items.length > 0) for (const item of value) if (!(yield* allows(items, item))) return false;
    return true;
  }
  function* fitsMembers(shape: Shape, value: object): Steps<boolean> {
    for (const name of shape.required.keys()) if (!Object.hasOwn(value, name)) return false;
    for (const [name, inner] of Object.entries(value)) {
      if (!(yield* allowsName(shape, name))) return false;
      if (!(yield* allows(memberPlaces(shape, name), inner))) return false;
    }
    return true;
  }
  function* constants(shape: Shape): Steps<readonly unknown[] | undefined> {
    if (!shape.values) return undefined;
    const rest = { ...shape, values: undefined };
    const fitting: unknown[] = [];
    for (const value of shape.values) if (yield* fits(rest, value)) fitting.push(value);
    return fitting;
  }

  function* isNever(places: readonly Place[], depth = 0): Steps<boolean> {
    if (depth > MAX_COMPARED) return false;
    if (work.takeTurn()) yield;
    for (const shape of yield* expand(places)) if (!(yield* isNeverShape(shape, depth))) return false;
    return true;
  }
  function* isNeverShape(shape: Shape, depth: number): Steps<boolean> {
    work.spend(20);
    const values = yield* constants(shape);
    if (values) return values.length === 0;
    const types = shape.types ?? shape.implied;
    if (!shape.types && types.length === 0) return false;
    for (const type of types) if (!(yield* isNeverOfType(shape, type, depth))) return false;
    return true;
  }
  function* isNeverOfType(shape: Shape, type: TypeName, depth: number): Steps<boolean> {
    const { number, text, list } = shape;
    if (type === "number" || type === "integer") return isEmptyRange({ integer: type === "integer", ...number });
    if (type === "string") return yield* texts.isNever(text);
    if (type === "array") {
      if (list.max !== undefined && list.max < list.min) return true;
      return list.min > 0 && list.items.length > 0 && (yield* isNever(list.items, depth + 1));
    }
    if (type !== "object") return false;
    for (const name of shape.required.keys()) {
      if (yield* isNever(memberPlaces(shape, name), depth + 1)) return true;
      if (!(yield* allowsName(shape, name))) return true;
    }
    return false;
  }

  const hasOneOf = ({ choices }: Rules): boolean => choices.some(({ keyword }) => keyword === "oneOf");
  const exclusive = (): Rules[] => [...rulesOf.values()].filter(hasOneOf);

  return { read, resolve, expand, memberPlaces, allowsName, constants, exclusive, isNever };
}

const shapeOf = ({ members, ...rules }: Rules): Shape => ({ ...rules, members: [members] });

function counts(a: { min: number; max: number | undefined }, b: typeof a): { min: number; max: number | undefined } {
  const max = Math.min(a.max ?? Number.POSITIVE_INFINITY, b.max ?? Number.POSITIVE_INFINITY);
  return { min: Math.max(a.min, b.min), max: Number.isFinite(max) ? max : undefined };
}

/** Every integer is a number. */
function commonTypes(a: Shape["types"], b: Shape["types"]): Shape["types"] {
  if (!a || !b) return a ?? b;
  const has = (types: readonly TypeName[], type: TypeName): boolean =>
    types.includes(type) || (type === "integer" && types.includes("number"));
  return [...new Set([...a, ...b])].filter((type) => has(a, type) && has(b, type));
}

function commonValues(a: Shape["values"], b: Shape["values"]): Shape["values"] {
  if (!a || !b) return a ?? b;
  const keys = new Set(b.map(canonical));
  return a.filter((value) => keys.has(canonical(value)));
}

const isPossible = ({ types, values }: Shape): boolean => types?.length !== 0 && values?.length !== 0;

function isOfType(value: unknown, type: TypeName): boolean {
  const number = exactNumber(value);
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "number") return number !== undefined;
  if (type === "integer") return typeof number === "bigint" || Number.isInteger(number);
  if (type === "object") {
    return typeof value === "object" && value !== null && !Array.isArray(value) && number === undefined;
  }
  return typeof value === type;
}
