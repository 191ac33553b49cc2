// How large a schema may be: OpenAI's limits for structured outputs ("Supported schemas" in its guide, as of February 2026).

import type { Steps, Work } from "../work.ts";
import { SchemaError } from "./errors.ts";
import { type Mode, type Place, subschemas } from "./keywords.ts";

const MAX_PROPERTIES = 5000;
const MAX_OBJECT_LEVELS = 10;
const MAX_CHARACTERS = 120_000;
const MAX_ENUM_VALUES = 1000;
/** An enum of more strings than this may have `MAX_LARGE_ENUM_CHARACTERS` in all. */
const LARGE_ENUM = 250;
const MAX_LARGE_ENUM_CHARACTERS = 15_000;
/** Schemas within schemas of any kind, which OpenAI does not count. */
const MAX_LEVELS = 64;

export interface LimitsOptions {
  readonly root: unknown;
  /** The root's own path. */
  readonly at: string;
  readonly mode: Mode;
  /** Paths of schemas that count as `true`. */
  readonly opened: ReadonlySet<string>;
  readonly work: Work;
}

/** @throws SchemaError that names the place where a limit is passed */
export function* checkLimits({ root, at, mode, opened, work }: LimitsOptions): Steps<void> {
  let properties = 0;
  let characters = 0;
  let enumValues = 0;

  function* visit({ schema, path }: Place, levels: number, objects: number): Steps<void> {
    if (work.takeTurn()) yield;
    const fail = (problem: string, keyword?: string): never => {
      throw new SchemaError({ path, keyword, problem });
    };
    if (levels > MAX_LEVELS) fail(`is nested in more than ${MAX_LEVELS} schemas`);
    if (typeof schema !== "object" || schema === null || Array.isArray(schema) || opened.has(path)) return;
    const own = schema as Record<string, unknown>;
    const inObject = own.properties !== undefined ? objects + 1 : objects;
    if (mode === "strict" && inObject > MAX_OBJECT_LEVELS) {
      fail(`is nested in more than ${MAX_OBJECT_LEVELS} levels of objects`);
    }
    const names = ["properties", "$defs", "definitions"].flatMap((keyword) => Object.keys(own[keyword] ?? {}));
    properties += Object.keys(own.properties ?? {}).length;
    const values = [...(Array.isArray(own.enum) ? own.enum : []), ...("const" in own ? [own.const] : [])];
    const texts = values.map((entry) => (typeof entry === "string" ? entry : (JSON.stringify(entry) ?? "")));
    const written = texts.reduce((sum, text) => sum + text.length, 0);
    enumValues += values.length;
    characters += written + names.reduce((sum, name) => sum + name.length, 0);
    if (properties > MAX_PROPERTIES) fail(`brings the schema over ${MAX_PROPERTIES} properties`, "properties");
    if (enumValues > MAX_ENUM_VALUES) fail(`brings the schema over ${MAX_ENUM_VALUES} enum values`, "enum");
    if (values.length > LARGE_ENUM && written > MAX_LARGE_ENUM_CHARACTERS) {
      fail(`has more than ${LARGE_ENUM} values and more than ${MAX_LARGE_ENUM_CHARACTERS} characters`, "enum");
    }
    if (characters > MAX_CHARACTERS) fail(`brings names and values over ${MAX_CHARACTERS} characters`);
    work.spend(20 + names.length + values.length + written / 8);
    for (const inner of subschemas(own, path)) yield* visit(inner, levels + 1, inObject);
  }
  yield* visit({ schema: root, path: at }, 0, 0);
}
