// What a reply may be, text or JSON or calls of tools, whatever endpoint asked: as a grammar for the replica and as words for the model.
import { compileGrammar, type Grammar, SchemaError, type ToolFormat, type ValueFormat } from "../grammar/index.ts";
import { jsonInstructions, type ToolDescription, toolInstructions } from "../tokenizer/index.ts";
import { ApiError } from "./errors.ts";

export interface FunctionTool extends ToolDescription {
  /** Whether OpenAI's rules for strict schemas hold. Without them a schema that cannot be enforced lets any object through. Default: false. */
  readonly strict?: boolean | undefined;
}

/** What text has to be. */
export type TextFormat =
  | { readonly type: "text" }
  | { readonly type: "json_object" }
  | {
      readonly type: "json_schema";
      readonly description?: string | undefined;
      /** Default: any object. */
      readonly schema?: unknown;
      /** Whether OpenAI's rules for strict schemas hold; the schema is enforced in any case. Default: false. */
      readonly strict?: boolean | undefined;
    };

export type ToolChoice = "none" | "auto" | "required" | { readonly name: string };

export interface ReplyWish {
  readonly text: TextFormat;
  /** Names are unique. */
  readonly tools: readonly FunctionTool[];
  readonly choice: ToolChoice;
  /** Names of the tools that may be called. Default: all. */
  readonly allowed?: readonly string[] | undefined;
  /** Whether one reply may have several calls. A named choice has one in any case. */
  readonly parallel: boolean;
  /** Where the request has what is wrong with a schema. */
  readonly params: ReplyParams;
}

export interface ReplyParams {
  readonly schema: string;
  /** Of a tool, by its index. */
  parameters(index: number): string;
  /** Of the field that chooses among tools. */
  readonly choice: string;
}

export interface ReplyFormat {
  /** Undefined for any text. */
  readonly grammar: Grammar | undefined;
  /** To be added to the system message. */
  readonly instructions: string | undefined;
  /** Whether the reply may be calls: `createReplyReader` finds them. */
  readonly mayCall: boolean;
}

/** @throws ApiError that names the field at fault, and in a schema the keyword and its place */
export function createReplyFormat(wish: ReplyWish): ReplyFormat {
  const { text, tools } = wish;
  const callable = callableTools(wish);
  const mayCall = callable.length > 0;
  const instructions = [
    ...(mayCall ? [toolInstructions(tools)] : []),
    ...(text.type === "json_object" ? [jsonInstructions()] : []),
    ...(text.type === "json_schema" ? [jsonInstructions(text.schema, text.description)] : []),
  ];
  return {
    grammar: mayCall ? callsGrammar(wish, callable) : textGrammar(wish),
    instructions: instructions.length > 0 ? instructions.join("\n\n") : undefined,
    mayCall,
  };
}

interface CallableTool extends FunctionTool {
  /** Among all the request's tools. */
  readonly index: number;
}

function callableTools({ tools, choice, allowed, params }: ReplyWish): CallableTool[] {
  const named = typeof choice === "object" ? [choice.name] : (allowed ?? []);
  const unknown = named.find((name) => !tools.some((tool) => tool.name === name));
  if (unknown !== undefined) {
    throw new ApiError("invalid_value", `Invalid value for '${params.choice}': there is no tool named '${unknown}'.`, {
      param: params.choice,
    });
  }
  if (choice === "none") return [];
  if (choice === "required" && tools.length === 0) {
    throw new ApiError("invalid_value", `'${params.choice}' asks for a call, but the request has no tools.`, {
      param: params.choice,
    });
  }
  const all = tools.map((tool, index) => ({ ...tool, index }));
  return typeof choice === "object" || allowed ? all.filter(({ name }) => named.includes(name)) : all;
}

/** What compiles: of a schema that may be left out, any object. */
const valueFormat = (text: Exclude<TextFormat, { type: "text" }>): ValueFormat =>
  text.type === "json_object" || text.schema === undefined
    ? { type: "json_object" }
    : { type: text.type, schema: text.schema, strict: text.strict ?? false };

function textGrammar({ text, params }: ReplyWish): Grammar | undefined {
  if (text.type === "text") return undefined;
  try {
    return compileGrammar(valueFormat(text));
  } catch (error) {
    throw schemaRefusal(error, params, () => 0);
  }
}

/** Tools that are opened one by one before all are: each takes another attempt at the whole grammar. */
const MAX_OPENED = 8;

/**
 * The grammar of calls. A tool that is not strict is not refused for what its schema asks for: where that cannot be enforced any object may
 * come, and where that is so of many tools, or all of it together is too large, of all that are not strict.
 */
function callsGrammar({ text, choice, parallel, params }: ReplyWish, tools: readonly CallableTool[]): Grammar {
  const formats = tools.map((tool) => withObject(tool, params.parameters(tool.index)));
  const compile = (): Grammar =>
    compileGrammar({
      type: "tool_calls",
      tools: formats,
      several: parallel && typeof choice === "string",
      otherwise: choice !== "auto" ? undefined : text.type === "text" ? { type: "text" } : valueFormat(text),
    });
  const open = (place: number): void => {
    const { name, strict } = formats[place] as ToolFormat;
    if (!strict) formats[place] = { name, parameters: ANY_OBJECT };
  };
  for (let opened = 0; opened < MAX_OPENED; opened++) {
    try {
      return compile();
    } catch (error) {
      const place = placeOf(error);
      if (place === undefined || formats[place]?.strict) break;
      open(place);
    }
  }
  for (const place of formats.keys()) open(place);
  try {
    return compile();
  } catch (error) {
    throw schemaRefusal(error, params, (place) => (tools[place] as CallableTool).index);
  }
}

const TOOL_PATH = /^\/tools\/(\d+)(.*)$/s;

/** Of the tool at fault, when it is one. */
function placeOf(error: unknown): number | undefined {
  const [, place] = (error instanceof SchemaError && TOOL_PATH.exec(error.path)) || [];
  return place === undefined ? undefined : Number(place);
}

const ANY_OBJECT = { type: "object" };

/** Arguments are an object: a schema that does not say so, in so many words, lets any object through unless it is strict. */
function withObject({ name, parameters, strict = false }: CallableTool, param: string): ToolFormat {
  if (parameters === undefined) return { name, strict };
  const isObject = typeof parameters === "object" && parameters !== null && !Array.isArray(parameters);
  const type: unknown = isObject && "type" in parameters ? parameters.type : undefined;
  if (!isObject || (type !== undefined && type !== "object")) {
    const problem = isObject ? `"type" is ${JSON.stringify(type)}` : "it is none";
    throw new ApiError(
      "invalid_function_parameters",
      `Invalid schema for '${param}': it must be a JSON schema of type "object", but ${problem}.`,
      { param },
    );
  }
  if (strict || type !== undefined) return { name, strict, parameters };
  const isReference = ["$ref", "anyOf", "enum", "const"].some((form) => form in parameters);
  return { name, strict, parameters: isReference ? ANY_OBJECT : { ...parameters, ...ANY_OBJECT } };
}

/** @param indexOf a tool's index in the request, by its place in the grammar */
function schemaRefusal(error: unknown, params: ReplyParams, indexOf: (place: number) => number): unknown {
  if (!(error instanceof SchemaError)) return error;
  const [, place, path] = TOOL_PATH.exec(error.path) ?? [];
  const param = place === undefined ? params.schema : params.parameters(indexOf(Number(place)));
  const { message } = new SchemaError({ path: path ?? error.path, keyword: error.keyword, problem: error.problem });
  return new ApiError(
    place === undefined ? "invalid_json_schema" : "invalid_function_parameters",
    `Invalid schema for '${param}': ${message}. Change the schema${place === undefined ? "" : ", or leave 'strict' out"}.`,
    { param },
  );
}
