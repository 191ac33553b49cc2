// `prompt` of POST /v1/completions in its four forms. Read by hand, because a body may hold 200,000 ids: a union of schemas would try each
// form on all of them, and gather an error for every one.
import { z } from "@hono/zod-openapi";
import { fitPrompt, type Prompt } from "../serving/prompt.ts";
import type { Encoded, Tokenizer } from "../tokenizer/index.ts";
import { ApiError } from "./errors.ts";

/** Prompts of one request. */
export const MAX_PROMPTS = 128;

/** Of all prompts of a request together. */
export const MAX_CHARACTERS = 1_000_000;

/** Text, or token ids. */
export type PromptInput = string | readonly number[];

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

export interface PromptsOptions {
  readonly prompts: readonly PromptInput[];
  readonly tokenizer: Tokenizer;
  /** Tokens that a prompt and its reply may have together. */
  readonly room: number;
  readonly maxTokens: number | undefined;
  readonly defaultMaxTokens: number;
}

/** @throws ApiError as `fitPrompt` does, or for an id that is not in the vocabulary */
export async function encodePrompts(options: PromptsOptions): Promise<readonly Prompt[]> {
  const { prompts, tokenizer, room, maxTokens, defaultMaxTokens } = options;
  const characters = prompts.reduce((sum, input) => sum + (typeof input === "string" ? input.length : 0), 0);
  if (prompts.length > 1 && characters > MAX_CHARACTERS) {
    const problem = `the prompts have ${characters} characters together; one request can have ${MAX_CHARACTERS}`;
    throw wrong("prompt", problem, "invalid_value");
  }
  const encoded: Prompt[] = [];
  for (const [i, input] of prompts.entries()) {
    const param = prompts.length > 1 ? `prompt.${i}` : "prompt";
    if (typeof input !== "string") checkIds(input, param, tokenizer.size);
    encoded.push(
      await fitPrompt(
        {
          name: "prompt",
          param,
          characters: typeof input === "string" ? input.length : 0,
          encode: (limit) => encode(tokenizer, input, limit),
          maxTokens,
          maxTokensParam: "max_tokens",
          defaultMaxTokens,
        },
        room,
      ),
    );
  }
  return encoded;
}

async function encode(tokenizer: Tokenizer, input: PromptInput, limit: number): Promise<Encoded> {
  if (input === "") return { ids: [tokenizer.bosId], complete: true };
  if (typeof input === "string") return tokenizer.encode(input, { limit });
  return { ids: [...input], complete: true };
}

function checkIds(ids: readonly number[], param: string, size: number): void {
  const at = ids.findIndex((id) => id >= size);
  if (at < 0) return;
  throw wrong(
    `${param}.${at}`,
    `token id ${ids[at]} is not in the model's vocabulary, whose ids are below ${size}`,
    "invalid_value",
  );
}
