// What a reply may be, text or JSON or calls of tools, whatever endpoint asked: as a grammar for the replica and as words for the model.
import {
  type Compiled,
  compileSteps,
  type Grammar,
  type OutputFormat,
  SchemaError,
  type ToolFormat,
  type ValueFormat,
} from "../../grammar/index.ts";
import { jsonInstructions, type ToolDescription, toolInstructions } from "../../tokenizer/index.ts";
import { createWork, inTurns } from "../../work.ts";
import { ApiError } from "./errors.ts";
import { readReply } from "./tool-calls.ts";

export interface FunctionTool extends ToolDescription {
  /** Whether OpenAI's rules for strict schemas hold. Without them, keywords that cannot be enforced are left out. Default: false. */
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
  /** Of the reply's form, whatever it is. */
  readonly format: string;
  /** Of the list of tools. */
  readonly tools: string;
}

export interface ReplyFormat {
  /** Undefined for any text. */
  readonly grammar: Grammar | undefined;
  /** Which field asks for what comes next. @param text of the reply, so far */
  grammarField(text: string): string | undefined;
  /** To be added to the system message. */
  readonly instructions: string | undefined;
  /** Whether the reply may be calls: `createReplyReader` finds them. */
  readonly mayCall: boolean;
  /** What of the request's schemas is not enforced although they are not refused, one sentence each. */
  readonly warnings: readonly string[];
}

/**
 * Reads schemas in turns with whatever else the event loop has to do.
 * @throws ApiError that names the field at fault, and in a schema the keyword and its place
 */
export async function createReplyFormat(wish: ReplyWish): Promise<ReplyFormat> {
  const { text, tools } = wish;
  const callable = callableTools(wish);
  const mayCall = callable.length > 0;
  const instructions = [
    ...(mayCall ? [toolInstructions(tools)] : []),
    ...(text.type === "json_object" ? [jsonInstructions()] : []),
    ...(text.type === "json_schema" ? [jsonInstructions(text.schema, text.description)] : []),
  ];
  const compiled = mayCall ? await callsGrammar(wish, callable) : await textGrammar(wish);
  return {
    grammar: compiled?.grammar,
    grammarField: (reply) => fieldAt(reply, wish, callable),
    warnings: (compiled?.notes ?? []).map((note) => warningOf(note, wish.params, callable)),
    instructions: instructions.length > 0 ? instructions.join("\n\n") : undefined,
    mayCall,
  };
}

function fieldAt(reply: string, { text, params }: ReplyWish, callable: readonly CallableTool[]): string | undefined {
  const said = readReply(callable.length > 0, reply, []);
  const isCalls = said.content === null;
  if (callable.length === 0 || (!isCalls && reply !== "" && text.type !== "text")) {
    if (text.type === "text") return undefined;
    return text.type === "json_schema" ? params.schema : params.format;
  }
  const [only] = callable.length === 1 ? callable : [];
  const called = only ?? callable.find(({ name }) => name === said.calls.at(-1)?.name);
  return called ? params.parameters(called.index) : params.tools;
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

async function textGrammar({ text, params }: ReplyWish): Promise<Compiled | undefined> {
  if (text.type === "text") return undefined;
  try {
    return await inTurns(compileSteps(valueFormat(text), createWork()));
  } catch (error) {
    throw schemaRefusal(error, params, []);
  }
}

/** Places of schemas that are opened one by one before whole tools are: each takes another attempt at the whole grammar. */
const MAX_OPENED = 8;

/**
 * The grammar of calls. A tool that is not strict is not refused for what its schema asks for: keywords that cannot be enforced are left
 * out. A place that no value fits, or that makes the grammar too large, is opened for any value; where there are many of them, all tools
 * that are not strict are.
 */
async function callsGrammar(wish: ReplyWish, tools: readonly CallableTool[]): Promise<Compiled> {
  const { text, choice, parallel, params } = wish;
  const work = createWork();
  const opened = new Set<string>();
  const formats = tools.map((tool) => toolFormat(tool, params.parameters(tool.index), opened));
  const format: OutputFormat = {
    type: "tool_calls",
    tools: formats,
    several: parallel && typeof choice === "string",
    otherwise: choice !== "auto" ? undefined : text.type === "text" ? { type: "text" } : valueFormat(text),
  };
  const notes: SchemaError[] = [];
  for (let attempt = 0; ; attempt++) {
    try {
      const compiled = await inTurns(compileSteps(format, work));
      return { ...compiled, notes: [...notes, ...compiled.notes] };
    } catch (error) {
      const isOpen = error instanceof SchemaError && (error.final || opened.has(error.path));
      const place = isOpen || attempt > MAX_OPENED ? undefined : placeOf(error);
      if (place === undefined || formats[place]?.strict) throw schemaRefusal(error, params, tools);
      open(error as SchemaError, attempt, { opened, notes, formats });
    }
  }
}

interface Opening {
  readonly opened: Set<string>;
  readonly notes: SchemaError[];
  readonly formats: readonly ToolFormat[];
}

function open(error: SchemaError, attempt: number, { opened, notes, formats }: Opening): void {
  if (attempt < MAX_OPENED) {
    opened.add(error.path);
    notes.push(error);
    return;
  }
  for (const [index, { strict }] of formats.entries()) {
    if (strict) continue;
    opened.add(`/tools/${index}`);
    notes.push(
      new SchemaError({ path: `/tools/${index}`, problem: "is left out: the tools ask for too much together" }),
    );
  }
}

const TOOL_PATH = /^\/tools\/(\d+)(.*)$/s;

/** Of the tool at fault, when it is one. */
function placeOf(error: unknown): number | undefined {
  const [, place] = (error instanceof SchemaError && TOOL_PATH.exec(error.path)) || [];
  return place === undefined ? undefined : Number(place);
}

/** Arguments are an object, whatever the schema says. @throws ApiError for parameters that are no schema of one */
function toolFormat(tool: CallableTool, param: string, opened: ReadonlySet<string>): ToolFormat {
  const { name, parameters, strict = false } = tool;
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
  return { name, strict, parameters, opened };
}

/** Which field a schema is in, and what is said of it. */
function fieldOf(error: SchemaError, params: ReplyParams, tools: readonly CallableTool[]) {
  const [, place, path] = TOOL_PATH.exec(error.path) ?? [];
  const tool = place === undefined ? undefined : tools[Number(place)];
  const param = tool ? params.parameters(tool.index) : params.schema;
  const { message } = new SchemaError({ path: path ?? error.path, keyword: error.keyword, problem: error.problem });
  return { param, message, tool };
}

/** Longer, a warning is cut off: paths and patterns can be of any length. */
const MAX_WARNING = 300;

function warningOf(note: SchemaError, params: ReplyParams, tools: readonly CallableTool[]): string {
  const { param, message } = fieldOf(note, params, tools);
  const warning = `${param}: not enforced: ${message}`;
  return warning.length > MAX_WARNING ? `${warning.slice(0, MAX_WARNING)}…` : warning;
}

function schemaRefusal(error: unknown, params: ReplyParams, tools: readonly CallableTool[]): unknown {
  if (!(error instanceof SchemaError)) return error;
  const { param, message, tool } = fieldOf(error, params, tools);
  return new ApiError(
    tool ? "invalid_function_parameters" : "invalid_json_schema",
    `Invalid schema for '${param}': ${message}. Change the schema${tool?.strict ? ", or leave 'strict' out" : ""}.`,
    { param },
  );
}
