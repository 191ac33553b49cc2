// Functions that a model may call and schemas that its text must fit, as both APIs have them.
import { z } from "@hono/zod-openapi";
import { ApiError } from "./errors.ts";
import type { FunctionTool, TextFormat } from "./reply-format.ts";

/** As many as OpenAI's API takes. */
export const MAX_TOOLS = 128;

export const functionNameSchema = z
  .string()
  .regex(/^[a-zA-Z0-9_-]{1,64}$/, "expected 1 to 64 letters, digits, underscores and dashes");

export const jsonSchemaSchema = z.record(z.string(), z.unknown());

interface WireFunction {
  readonly name: string;
  readonly description?: string | null | undefined;
  readonly parameters?: Readonly<Record<string, unknown>> | null | undefined;
  readonly strict?: boolean | null | undefined;
}

export const toFunctionTool = ({ name, description, parameters, strict }: WireFunction): FunctionTool => ({
  name,
  description: description?.toWellFormed(),
  parameters: parameters ?? undefined,
  strict: strict ?? false,
});

/**
 * @param paramOf the request's field that names a function, by its index
 * @throws ApiError `invalid_value` for two functions of one name
 */
export function refuseSameNames(tools: readonly FunctionTool[], paramOf: (index: number) => string): void {
  const twice = tools.findIndex(({ name }, index) => tools.findIndex((other) => other.name === name) < index);
  if (twice < 0) return;
  const param = paramOf(twice);
  const message = `Invalid value for '${param}': there are two functions named '${tools[twice]?.name}'. Names must be unique.`;
  throw new ApiError("invalid_value", message, { param });
}

/** What the fields of a `json_schema` ask for. */
export const toSchemaFormat = (given: {
  readonly description?: string | null | undefined;
  readonly schema?: Readonly<Record<string, unknown>> | null | undefined;
  readonly strict?: boolean | null | undefined;
}): TextFormat => ({
  type: "json_schema",
  description: given.description?.toWellFormed(),
  schema: given.schema ?? undefined,
  strict: given.strict ?? false,
});
