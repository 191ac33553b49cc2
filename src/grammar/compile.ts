// The output formats that a request can ask for, as grammars. Own code, because nothing that runs in Workers enforces what it accepts:
// `npm run bench:grammar -- --peer` shows which invalid texts @mlc-ai/web-xgrammar 0.1.27 lets through, the seconds that one bounded string
// takes to compile, in one go, and the 16 MiB that would not fit beside the weights.
import { createAutomatonBuilder, type Fragment, type Grammar } from "./automaton.ts";
import { SchemaError } from "./errors.ts";
import { characterSet, complement, createFragments, type Fragments, MAX_CODE_POINT } from "./fragments.ts";
import { createJson } from "./json.ts";
import { schemaFragment } from "./schema.ts";

export interface ToolFormat {
  readonly name: string;
  /** Schema of the arguments; without it there are none. */
  readonly parameters?: unknown;
  /** As in `OutputFormat`. Default false. */
  readonly strict?: boolean | undefined;
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

/**
 * Pure; a few milliseconds for an ordinary schema.
 * @throws SchemaError for a schema that is malformed or asks for what is not enforced; of a tool's, the path begins with `/tools/<index>`
 */
export function compileGrammar(format: OutputFormat): Grammar {
  try {
    return compile(format);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new SchemaError({ path: "", problem: "is nested too deeply, in a pattern or a value" });
  }
}

function compile(format: OutputFormat): Grammar {
  const builder = createAutomatonBuilder();
  const make = createFragments(builder);
  const json = createJson(make);
  const checks: (() => void)[] = [];

  const ofSchema = (schema: unknown, strict: boolean, at = ""): Fragment => {
    const { fragment, check } = schemaFragment({ builder, make, json, schema, strict, at });
    checks.push(check);
    return fragment;
  };
  const callOf = ({ name, parameters = NO_PARAMETERS, strict = false }: ToolFormat, index: number): Fragment =>
    make.sequence(
      ...[make.literal('{"name"'), json.colon, make.literal(JSON.stringify(name)), json.comma],
      ...[make.literal('"arguments"'), json.colon, ofSchema(parameters, strict, `/tools/${index}`), make.literal("}")],
    );
  const ofValue = (value: ValueFormat): Fragment =>
    value.type === "json_object" ? json.object : ofSchema(value.schema, value.strict ?? true);
  const rootOf = (): Fragment => {
    if (format.type !== "tool_calls") return ofValue(format);
    const calls = json.list(make.choice(...format.tools.map(callOf)), 1, format.several ? MAX_CALLS : 1);
    const written = make.sequence(make.literal(TOOL_CALLS.open), calls, make.literal(TOOL_CALLS.close));
    const { otherwise } = format;
    if (!otherwise) return written;
    return make.choice(otherwise.type === "text" ? textWithout(TOOL_CALLS.open, make) : ofValue(otherwise), written);
  };

  const start = rootOf()(builder.done);
  make.finish();
  for (const check of checks) check();
  return builder.build(start);
}

/** Any text that does not begin with a prefix. */
function textWithout(prefix: string, make: Fragments): Fragment {
  const anything = make.repeat(make.characters(characterSet([[0, MAX_CODE_POINT]])), 0);
  return [...prefix].reduceRight<Fragment>((rest, character) => {
    const code = character.codePointAt(0) as number;
    const others = make.characters(complement([[code, code]]));
    return make.choice(make.empty, make.sequence(others, anything), make.sequence(make.literal(character), rest));
  }, make.never);
}
