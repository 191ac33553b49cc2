// Encodes a prompt and fits it and its reply into the model's context.
import { type Encoded, RunTooLongError } from "../tokenizer/index.ts";
import { WorkLimitError } from "../work.ts";
import { ServingError } from "./errors.ts";

/** Tokens of a reply at most when the request does not say. */
export const DEFAULT_MAX_TOKENS = 512;
/** Prompts are counted exactly up to this many contexts, for the error message; beyond, counting would only cost time. */
const COUNTED_CONTEXTS = 4;
/** Text longer than this many characters for each token of the context is not even counted. English has 4 to 5 characters a token. */
const CHARACTERS_PER_TOKEN = 16;

export interface Prompt {
  readonly ids: readonly number[];
  /** Most tokens of a reply, which the context has room for. */
  readonly maxTokens: number;
  /** What the reply's warning says where the request asked for more. */
  readonly warning?: string | undefined;
}

/** What is to become a prompt, and how long the reply may be. */
export interface PromptOptions {
  /** What the client calls it, which is the request's field too. */
  readonly name: "messages" | "prompt" | "input";
  /** Where it is in the request, if not under `name` itself. */
  readonly param?: string;
  readonly characters: number;
  /** @throws RunTooLongError, or WorkLimitError for what is too much for the chat template */
  encode(limit: number): Promise<Encoded>;
  /** Undefined when the request does not say. */
  readonly maxTokens: number | undefined;
  /** Where it said so. */
  readonly maxTokensParam: string;
  /** Where it does not say. */
  readonly defaultMaxTokens?: number;
  /** Whether a prompt that leaves less room for the reply than was asked for is refused. Default: false. */
  readonly needsRoom?: boolean;
}

/**
 * Clients send constants for the length of replies: one beyond the room is lowered to it.
 * @param contextLength tokens of prompt and reply together, at most
 * @throws ServingError `prompt_too_long` with both numbers, or `invalid_request` for a run of characters that is too long to read
 */
export async function fitPrompt(source: PromptOptions, contextLength: number): Promise<Prompt> {
  const { name, param = name, characters, encode, maxTokensParam, defaultMaxTokens = DEFAULT_MAX_TOKENS } = source;
  const exceeded = (sentence: string, at: string): ServingError =>
    new ServingError(
      "prompt_too_long",
      `This model's maximum context length is ${contextLength} tokens. However, ${sentence}`,
      { param: at },
    );
  const has = name === "messages" ? "have" : "has";
  const readable = contextLength * CHARACTERS_PER_TOKEN;
  if (characters > readable) {
    throw exceeded(
      `your ${name} ${has} ${characters} characters; at most ${readable} can be read. Please reduce the length of the ${name}.`,
      param,
    );
  }
  const limit = contextLength * COUNTED_CONTEXTS;
  const { ids, complete } = await encode(limit).catch((error) => {
    if (error instanceof WorkLimitError) {
      throw exceeded(
        `your ${name} ${has} more turns than the chat template can be applied to. Please reduce the length of the ${name}.`,
        param,
      );
    }
    if (error instanceof RunTooLongError)
      throw new ServingError("invalid_request", `The text cannot be read: ${error.message}.`, { param });
    throw error;
  });
  const left = contextLength - ids.length;
  const least = source.maxTokens === 0 ? 0 : 1;
  if (!complete || left < least) {
    const resulted = complete ? `${ids.length}` : `more than ${limit}`;
    throw exceeded(`your ${name} resulted in ${resulted} tokens. Please reduce the length of the ${name}.`, param);
  }
  const { maxTokens = Math.min(defaultMaxTokens, left) } = source;
  if (maxTokens <= left) return { ids, maxTokens };
  if (source.needsRoom) {
    throw exceeded(
      `you requested ${ids.length + maxTokens} tokens (${ids.length} in the ${name}, ${maxTokens} in the completion). Please reduce the length of the ${name} or completion.`,
      maxTokensParam,
    );
  }
  const warning = `${maxTokensParam} lowered from ${maxTokens} to ${left}, which is what ${ids.length} tokens of prompt leave of ${contextLength}`;
  return { ids, maxTokens: left, warning };
}
