// A JSON schema as a piece of grammar. What is not enforced is refused by name, or told where the mode is lenient; every value that the
// grammar writes is valid, and only values that the schema's author would rather not see are left out: properties that the schema does not
// name, extra whitespace.

import { atOnce, type Steps, type Work } from "../work.ts";
import type { AutomatonBuilder, Fragment, State } from "./automaton.ts";
import { named, SchemaError } from "./errors.ts";
import type { Fragments } from "./fragments.ts";
import type { JsonFragments } from "./json.ts";
import { type Mode, type Place, resolveRef, schemaAt, schemaOr, type TypeName } from "./keywords.ts";
import { checkLimits } from "./limits.ts";
import { numbers } from "./numbers.ts";
import type { Rules } from "./rules.ts";
import { createShapes, type Shape } from "./shapes.ts";
import type { Texts } from "./texts.ts";

export interface SchemaOptions {
  readonly builder: AutomatonBuilder;
  readonly make: Fragments;
  readonly json: JsonFragments;
  readonly texts: Texts;
  readonly work: Work;
  readonly schema: unknown;
  readonly mode: Mode;
  /** Whether the value has to be an object, whatever the schema says. */
  readonly object: boolean;
  /** The schema's own path, for errors. */
  readonly at: string;
  /** Paths of schemas that count as `true`. */
  readonly opened: ReadonlySet<string>;
  /** Told what is not enforced although the schema is not refused. */
  note(error: SchemaError): void;
}

export interface SchemaFragment {
  readonly fragment: Fragment;
  /**
   * To be run when all is put together.
   * @param reaches what the builder's `productive` gives
   * @throws SchemaError when no finite value can match, or branches of `oneOf` may match at once
   */
  check(reaches: Uint8Array): Steps<void>;
}

/** @throws SchemaError that names keyword and place; the fragment too, when the grammar gets too large or takes too much work */
export function* schemaFragment(options: SchemaOptions): Steps<SchemaFragment> {
  const { make, json, texts, work, schema: root, mode, at, opened, note } = options;
  if (!opened.has(at)) yield* checkLimits({ root, mode, at, opened, work });
  const shapes = createShapes({ root, at, mode, opened, texts, work, note });
  /** Rules by the schemas that have to hold. */
  const rules = new Map<string, Fragment>();
  const ids = new Map<unknown, number>();
  /** Where each schema begins and what follows it, innermost first. */
  const places: { path: string; state: State; next: State }[] = [];

  const refuse = (path: string, keyword: string, problem: string): void => {
    const error = new SchemaError({ path, keyword, problem });
    if (mode !== "lenient") throw error;
    note(error);
  };
  /** Remembers where a schema begins, and names it when it becomes too large. */
  const place =
    (path: string, fragment: Fragment): Fragment =>
    (next) => {
      try {
        const state = fragment(next);
        places.push({ path, state, next });
        return state;
      } catch (error) {
        throw named(error, path);
      }
    };

  /** Values that fit all of the schemas. */
  function* node(given: readonly Place[]): Steps<Fragment> {
    if (work.takeTurn()) yield;
    const own = [...new Map(given.map((entry) => [entry.schema, entry])).values()].filter(
      ({ schema, path }) => schema !== true && !opened.has(path),
    );
    const [first, ...others] = own;
    if (!first) {
      if (mode === "strict" && given[0]) throw untyped(given[0].path);
      return json.value;
    }
    if (others.length > 0) return ruleOf(own, () => together(own));
    try {
      return place(first.path, yield* single(first));
    } catch (error) {
      throw named(error, first.path);
    }
  }
  const ruleOf = (given: readonly Place[], body: () => Steps<Fragment>): Fragment => {
    const numbers = given.map(({ schema }) => {
      const id = ids.get(schema) ?? ids.size;
      ids.set(schema, id);
      return id;
    });
    const key = numbers.sort((a, b) => a - b).join();
    const rule = rules.get(key) ?? make.ruleInSteps(body);
    rules.set(key, rule);
    return rule;
  };

  /** Values that fit one schema. */
  function* single({ schema: given, path }: Place): Steps<Fragment> {
    const schema = schemaOr({ schema: given, path }, mode, note);
    if (typeof schema === "boolean") return schema ? json.value : make.never;
    const own = shapes.read(schema, path);
    const { ref, all, choices, types, values, implied } = own;
    const parts = (ref === undefined ? 0 : 1) + all.length + choices.length;
    if (!types && !values && implied.length === 0 && parts === 1) {
      const [only] = all;
      if (only) return yield* node([only]);
      if (ref === undefined) return yield* choiceOf(own);
      const target = yield* shapes.resolve(ref, path);
      return ruleOf([target], () => node([target]));
    }
    if (values && parts === 0) {
      const [shape] = yield* shapes.expand([{ schema, path }]);
      const fitting = shape ? yield* shapes.constants(shape) : [];
      if (!fitting?.length) refuse(path, "const" in schema ? "const" : "enum", "has no value of the schema's type");
      return json.constants(fitting?.length ? fitting : values);
    }
    const self = [{ schema, path }];
    // What has references may lead back here.
    return parts > 0 ? ruleOf(self, () => together(self)) : yield* ofPlaces(self);
  }
  function* choiceOf(own: Rules): Steps<Fragment> {
    const branches: Fragment[] = [];
    for (const { places: given } of own.choices) for (const branch of given) branches.push(yield* node([branch]));
    return make.choice(...branches);
  }
  /** As `ofPlaces`, as a rule: its place is not one within another's. */
  function* together(given: readonly Place[]): Steps<Fragment> {
    const path = given[0]?.path ?? at;
    try {
      return place(path, yield* ofPlaces(given));
    } catch (error) {
      throw named(error, path);
    }
  }
  function* ofPlaces(given: readonly Place[]): Steps<Fragment> {
    const all = yield* shapes.expand(given);
    const fragments: Fragment[] = [];
    for (const shape of all) fragments.push(yield* ofShape(shape, all.length === 1));
    return fragments.length > 0 ? make.choice(...fragments) : make.never;
  }

  /** @param only whether there is no other way for the schemas to hold: then what cannot hold is an error */
  function* ofShape(shape: Shape, only: boolean): Steps<Fragment> {
    const constants = yield* shapes.constants(shape);
    if (constants) return constants.length > 0 ? json.constants(constants) : make.never;
    const types = shape.types ?? shape.implied;
    if (!shape.types && mode === "strict") throw untyped(shape.path);
    if (!shape.types && types.length === 0) return json.value;
    const fragments: Fragment[] = [];
    for (const type of types) fragments.push(yield* ofType(shape, type, only));
    return fragments.length > 0 ? make.choice(...fragments) : make.never;
  }
  function* ofType(shape: Shape, type: TypeName, only: boolean): Steps<Fragment> {
    const { number, text, list } = shape;
    switch (type) {
      case "object":
        return yield* object(shape, only);
      case "array":
        if (list.max !== undefined && list.max < list.min) return make.never;
        return json.list(list.items.length > 0 ? yield* node(list.items) : json.value, list.min, list.max);
      case "string":
        return text.max !== undefined && text.max < text.min ? make.never : yield* texts.fragment(text, shape.path);
      case "boolean":
        return json.boolean;
      case "null":
        return json.null;
      default: {
        const isBounded = number.above.length + number.below.length + number.multiplesOf.length > 0;
        if (!isBounded) return type === "integer" ? json.integer : json.number;
        return numbers(options.builder, { integer: type === "integer", ...number });
      }
    }
  }

  function* object(shape: Shape, only: boolean): Steps<Fragment> {
    const { members, required } = shape;
    const names = new Set([...members.flatMap(({ properties }) => [...properties.keys()]), ...required.keys()]);
    if (names.size === 0) {
      const possible = yield* possibleNames(shape);
      if (!possible) return yield* map(shape);
      for (const name of possible) names.add(name);
    }
    const written: Member[] = [];
    for (const name of names) {
      const given = shapes.memberPlaces(shape, name);
      const isRequired = required.has(name);
      const isAllowed = !given.some(isClosed) && (yield* shapes.allowsName(shape, name));
      if (!isAllowed && !isRequired) continue;
      if (!isAllowed && !only) return make.never;
      if (!isAllowed) refuse(required.get(name) as string, "required", excluded(name));
      const inner = yield* node(given.filter((entry) => !isClosed(entry)));
      written.push({ isRequired, fragment: make.sequence(make.literal(JSON.stringify(name)), json.colon, inner) });
    }
    return objectOf(written, shape.path, options);
  }
  const isClosed = ({ schema, path }: Place): boolean => schema === false && !opened.has(path);

  /** The names that members may have, where `propertyNames` lists them. */
  function* possibleNames(shape: Shape): Steps<readonly string[] | undefined> {
    const given = shape.members.flatMap(({ names }) => names ?? []);
    if (given.length === 0) return undefined;
    const found = new Set<string>();
    for (const way of yield* shapes.expand(given)) {
      const constants = yield* shapes.constants(way);
      if (!constants) return undefined;
      for (const value of constants) if (typeof value === "string") found.add(value);
    }
    return [...found];
  }
  /** An object with members of any name that `propertyNames` allows. */
  function* map({ members }: Shape): Steps<Fragment> {
    const values = members.flatMap(({ additional }) => additional ?? []);
    if (values.some(isClosed)) return make.literal("{}");
    const given = members.flatMap(({ names }) => names ?? []);
    const value = yield* node(values);
    if (given.length === 0) return json.map(value);
    const names: Fragment[] = [];
    for (const way of yield* shapes.expand([...given, STRING])) {
      const constants = yield* shapes.constants(way);
      if (constants?.length) names.push(json.constants(constants));
      else if (!constants && way.types?.includes("string")) names.push(yield* texts.fragment(way.text, way.path));
    }
    return names.length > 0 ? json.map(value, make.choice(...names)) : make.literal("{}");
  }

  if (mode === "strict") checkRoot(root, at);
  const saysObject = mode === "strict" || (isType(root, "object") && !opened.has(at));
  const fragment = yield* node([{ schema: root, path: at }, ...(options.object && !saysObject ? [OBJECT] : [])]);
  let start: State | undefined;
  return {
    fragment: (next) => {
      start = fragment(next);
      return start;
    },
    *check(reaches) {
      if (start !== undefined && !reaches[start]) {
        const { path } = places.find(({ state, next }) => !reaches[state] && reaches[next]) ?? { path: at };
        throw new SchemaError({
          path,
          problem: "no finite value can match: bounds exclude all, or it always holds itself",
        });
      }
      yield* checkExclusive(shapes.exclusive(), refuse);
    },
  };

  /** @throws SchemaError unless it is certain that no value fits two branches of one `oneOf` */
  function* checkExclusive(given: Iterable<Rules>, say: typeof refuse): Steps<void> {
    for (const { path, choices } of given) {
      for (const { keyword, places: branches } of choices) {
        if (keyword !== "oneOf") continue;
        for (const [i, a] of branches.entries()) {
          for (const [j, b] of branches.slice(0, i).entries()) {
            if (yield* shapes.isNever([a, b])) continue;
            say(path, "oneOf", `has branches that one value may fit at once (${j} and ${i}): ${TELL_APART}`);
            break;
          }
        }
      }
    }
  }
}

const TELL_APART = "use anyOf, or give each branch a required property with a const of its own";
const STRING: Place = { schema: { type: "string" }, path: "" };
const OBJECT: Place = { schema: { type: "object" }, path: "" };

const isType = (schema: unknown, type: TypeName): boolean =>
  typeof schema === "object" && schema !== null && "type" in schema && schema.type === type;
const untyped = (path: string): SchemaError =>
  new SchemaError({ path, keyword: "type", problem: "is missing: strict schemas have it everywhere" });
const excluded = (name: string): string =>
  `names ${JSON.stringify(name)}, which no value has: additionalProperties, properties or propertyNames exclude it`;

/** @throws SchemaError unless a strict schema is one of an object */
function checkRoot(root: unknown, at: string): void {
  const own = schemaAt(root, at);
  const { $ref } = typeof own === "boolean" ? {} : own;
  const target = typeof $ref === "string" ? resolveRef(root, $ref, at) : own;
  if (isType(target, "object")) return;
  throw new SchemaError({ path: at, keyword: "type", problem: 'must be "object" at the root of a strict schema' });
}

interface Member {
  readonly isRequired: boolean;
  readonly fragment: Fragment;
}

/** Members of an object that are written at once; more are made in steps. */
const FEW_MEMBERS = 16;

/** An object with these members, in this order. */
function objectOf(members: readonly Member[], path: string, options: SchemaOptions): Fragment {
  const { builder, make, json, work } = options;
  function* whole(next: State): Steps<State> {
    // From the last member to the first: `after` follows a member that was written, `first` follows none.
    const end = builder.byte(0x7d, 0x7d, next);
    let after = end;
    let first = end;
    for (const { isRequired, fragment } of members.toReversed()) {
      if (members.length > FEW_MEMBERS && work.takeTurn()) yield;
      const member = fragment(after);
      const another = json.comma(member);
      first = isRequired ? member : builder.any([member, first]);
      after = isRequired ? another : builder.any([another, after]);
    }
    return builder.byte(0x7b, 0x7b, first);
  }
  if (members.length <= FEW_MEMBERS) return (next) => atOnce(whole(next));
  return make.later(function* (next) {
    try {
      return yield* whole(next);
    } catch (error) {
      throw named(error, path);
    }
  });
}
