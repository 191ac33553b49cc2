// The output formats that a request can ask for, as grammars. Own code, because nothing that runs in Workers enforces what it accepts:
// `npm run bench:grammar -- --peer` shows which invalid texts @mlc-ai/web-xgrammar 0.1.27 lets through, the seconds that one bounded string
// takes to compile, in one go, and the 16 MiB that would not fit beside the weights.

import { atOnce, createWork, type Steps, type Work } from "../work.ts";
import { createAutomatonBuilder, type Fragment, type Grammar } from "./automaton.ts";
import { named, SchemaError } from "./errors.ts";
import { characterSet, complement, createFragments, type Fragments, MAX_CODE_POINT } from "./fragments.ts";
import { createJson } from "./json.ts";
import type { Mode } from "./keywords.ts";
import { type SchemaFragment, schemaFragment } from "./schema.ts";
import { createTexts } from "./texts.ts";

export interface ToolFormat {
  readonly name: string;
  /** Schema of the arguments; without it there are none. */
  readonly parameters?: unknown;
  /** As in `OutputFormat`; without it, what cannot be enforced is left out and noted. Default: false. */
  readonly strict?: boolean | undefined;
  /** Paths within the grammar's format, as errors have them, of schemas that count as `true`. Default: none. */
  readonly opened?: ReadonlySet<string> | undefined;
}

export type ValueFormat =
  /** Any JSON object. */
  | { readonly type: "json_object" }
  /** @param strict whether OpenAI's rules for strict schemas hold; without them properties may be optional. Default true */
  | { readonly type: "json_schema"; readonly schema: unknown; readonly strict?: boolean | undefined };

export type OutputFormat =
  | ValueFormat
  /** Calls of these tools, written as `TOOL_CALLS` says. */
  | {
      readonly type: "tool_calls";
      readonly tools: readonly ToolFormat[];
      /** What may come instead of calls: plain text, or a value. Default: nothing. */
      readonly otherwise?: { readonly type: "text" } | ValueFormat | undefined;
      /** Whether more than one call may come, up to `MAX_CALLS`. */
      readonly several: boolean;
    };

/**
 * How calls are written: `open`, a JSON array of `{"name": …, "arguments": {…}}`, `close`. The form that SmolLM2-Instruct was trained on
 * (its model card, "Function calling"). Text that begins with `open` is always calls.
 */
export const TOOL_CALLS = { open: "<tool_call>", close: "</tool_call>" } as const;

/** Calls of one reply. Without a bound, a small model that has begun to repeat a call does so until its reply is cut off. */
export const MAX_CALLS = 8;

const NO_PARAMETERS = { type: "object", properties: {}, required: [], additionalProperties: false };

export interface Compiled {
  readonly grammar: Grammar;
  /** What is not enforced of schemas, although they are not refused. */
  readonly notes: readonly SchemaError[];
}

/** Pure; a few milliseconds for an ordinary schema. @throws SchemaError as `compileSteps` does */
export const compileGrammar = (format: OutputFormat): Grammar => atOnce(compileSteps(format)).grammar;

/**
 * @param work counts what it costs, and says when the event loop should have its turn: then it yields
 * @throws SchemaError for a schema that is malformed, asks for what is not enforced, or costs too much; of a tool's, the path begins with
 * `/tools/<index>`
 */
export function* compileSteps(format: OutputFormat, work: Work = createWork()): Steps<Compiled> {
  try {
    return yield* compile(format, work);
  } catch (error) {
    if (!(error instanceof RangeError)) throw named(error, "");
    throw new SchemaError({ path: "", problem: "is nested too deeply, in a pattern or a value" });
  }
}

function* compile(format: OutputFormat, work: Work): Steps<Compiled> {
  const builder = createAutomatonBuilder(work);
  const make = createFragments(builder);
  const json = createJson(make, builder);
  const texts = createTexts({ builder, make, json, work });
  const notes: SchemaError[] = [];
  const schemas: SchemaFragment[] = [];

  function* ofSchema(schema: unknown, mode: Mode, tool?: ToolPlace): Steps<Fragment> {
    const note = (error: SchemaError): void => void notes.push(error);
    const { at = "", opened = NONE } = tool ?? {};
    const options = { builder, make, json, texts, work, schema, mode, object: tool !== undefined, at, opened, note };
    const made = yield* schemaFragment(options);
    schemas.push(made);
    return made.fragment;
  }
  function* callOf({ name, parameters = NO_PARAMETERS, strict, opened }: ToolFormat, index: number): Steps<Fragment> {
    const place = { at: `/tools/${index}`, opened };
    const fragment = yield* ofSchema(parameters, strict ? "strict" : "lenient", place);
    return make.sequence(
      ...[make.literal('{"name"'), json.colon, make.literal(JSON.stringify(name)), json.comma],
      ...[make.literal('"arguments"'), json.colon, fragment, make.literal("}")],
    );
  }
  function* ofValue(value: ValueFormat): Steps<Fragment> {
    if (value.type === "json_object") return json.object;
    return yield* ofSchema(value.schema, (value.strict ?? true) ? "strict" : "enforced");
  }
  function* rootOf(): Steps<Fragment> {
    if (format.type !== "tool_calls") return yield* ofValue(format);
    const tools: Fragment[] = [];
    for (const [index, tool] of format.tools.entries()) tools.push(yield* callOf(tool, index));
    const calls = json.list(make.choice(...tools), 1, format.several ? MAX_CALLS : 1);
    const written = make.sequence(make.literal(TOOL_CALLS.open), calls, make.literal(TOOL_CALLS.close));
    const { otherwise } = format;
    if (!otherwise) return written;
    return make.choice(
      otherwise.type === "text" ? textWithout(TOOL_CALLS.open, make) : yield* ofValue(otherwise),
      written,
    );
  }

  const start = (yield* rootOf())(builder.done);
  yield* make.finish();
  const reaches = yield* builder.productive();
  for (const schema of schemas) yield* schema.check(reaches);
  return { grammar: yield* builder.build(start, reaches), notes };
}

interface ToolPlace {
  readonly at: string;
  readonly opened: ReadonlySet<string> | undefined;
}

const NONE: ReadonlySet<string> = new Set();

/** Any text that does not begin with a prefix. */
function textWithout(prefix: string, make: Fragments): Fragment {
  const anything = make.repeat(make.characters(characterSet([[0, MAX_CODE_POINT]])), 0);
  return [...prefix].reduceRight<Fragment>((rest, character) => {
    const code = character.codePointAt(0) as number;
    const others = make.characters(complement([[code, code]]));
    return make.choice(make.empty, make.sequence(others, anything), make.sequence(make.literal(character), rest));
  }, make.never);
}
