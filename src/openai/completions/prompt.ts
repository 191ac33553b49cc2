// `prompt` of POST /v1/completions in its four forms. Read by hand, because a body may hold 200,000 ids: a union of schemas would try each
// form on all of them, and gather an error for every one.
import { z } from "@hono/zod-openapi";
import { MAX_CHARACTERS, type PromptInput } from "../../serving/index.ts";
import { ApiError } from "../shared/errors.ts";

/** Prompts of one request. */
export const MAX_PROMPTS = 128;

const ids = { type: "array", minItems: 1, items: { type: "integer", minimum: 0 } } as const;

export const promptSchema = z
  .custom<unknown>((value) => value !== undefined)
  .openapi({
    type: ["string", "array", "null"],
    oneOf: [
      { type: "string" },
      { type: "array", minItems: 1, maxItems: MAX_PROMPTS, items: { type: "string" } },
      ids,
      { type: "array", minItems: 1, maxItems: MAX_PROMPTS, items: ids },
      { type: "null" },
    ],
    description: `A text, an array of up to ${MAX_PROMPTS} texts with ${MAX_CHARACTERS} characters together, an array of token ids, or an array of such arrays. A special token that a text spells, such as \`<|im_end|>\`, becomes that token. Before a text comes the token that texts begin with, where the model was trained so (\`add_bos_token\` of \`GET /tokenizer_info\`) and the text does not spell it; ids are taken as they are. An empty text, or null, stands for the token that texts begin with (\`bos_token\`, else \`eos_token\`).`,
    example: "The capital of Italy is",
  });

/**
 * @param value anything but undefined
 * @throws ApiError that names the element at fault
 */
export function parsePrompts(value: unknown): readonly PromptInput[] {
  if (value === null) return [""];
  if (typeof value === "string") return [value.toWellFormed()];
  if (!Array.isArray(value)) throw wrong("prompt", FORMS);
  if (value.length === 0) throw wrong("prompt", "expected at least one prompt or token id", "invalid_value");
  if (typeof value[0] === "number") return [parseIds(value, "prompt")];
  if (value.length > MAX_PROMPTS) {
    throw wrong("prompt", `expected at most ${MAX_PROMPTS} prompts, not ${value.length}`, "invalid_value");
  }
  return value.map((element: unknown, i) => {
    const param = `prompt.${i}`;
    if (typeof element !== typeof value[0]) throw wrong(param, "expected all prompts to be of one kind");
    if (typeof element === "string") return element.toWellFormed();
    if (!Array.isArray(element)) throw wrong(param, "expected a string or an array of token ids");
    return parseIds(element, param);
  });
}

const FORMS = "expected a string, an array of strings, an array of token ids, or an array of arrays of token ids";

/** @throws ApiError that names the element that is no token id */
export function parseIds(value: readonly unknown[], param: string): readonly number[] {
  if (value.length === 0) throw wrong(param, "expected at least one token id", "invalid_value");
  const at = value.findIndex((id) => !Number.isSafeInteger(id) || (id as number) < 0);
  if (at >= 0) throw wrong(`${param}.${at}`, "expected a token id, which is an integer of at least 0");
  return value as readonly number[];
}

const wrong = (param: string, message: string, code: "invalid_type" | "invalid_value" = "invalid_type"): ApiError =>
  new ApiError(code, `Invalid value for '${param}': ${message}.`, { param });
