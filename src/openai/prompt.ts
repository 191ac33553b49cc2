// Encodes the messages and fits prompt and reply into the model's context.
import { RunTooLongError, type Tokenizer } from "../tokenizer/index.ts";
import { type ChatRequest, DEFAULT_MAX_TOKENS } from "./chat-request.ts";
import { ApiError } from "./errors.ts";

/** Prompts are counted exactly up to this many contexts, for the error message; beyond, counting would only cost time. */
const COUNTED_CONTEXTS = 4;
/** Text longer than this many characters for each token of the context is not even counted. English has 4 to 5 characters a token. */
const CHARACTERS_PER_TOKEN = 16;

export interface Prompt {
  readonly ids: readonly number[];
  readonly maxTokens: number;
}

/**
 * @param contextLength tokens of prompt and reply together, at most
 * @throws ApiError `context_length_exceeded` with both numbers, or naming a run of characters that is too long to read
 */
export async function fitPrompt(tokenizer: Tokenizer, request: ChatRequest, contextLength: number): Promise<Prompt> {
  const exceeded = (sentence: string, param: string): ApiError =>
    new ApiError(
      "context_length_exceeded",
      `This model's maximum context length is ${contextLength} tokens. However, ${sentence}`,
      { param },
    );
  const characters = request.messages.reduce((total, { content }) => total + content.length, 0);
  const readable = contextLength * CHARACTERS_PER_TOKEN;
  if (characters > readable) {
    throw exceeded(
      `your messages have ${characters} characters; at most ${readable} can be read. Please reduce the length of the messages.`,
      "messages",
    );
  }
  const limit = contextLength * COUNTED_CONTEXTS;
  const { ids, complete } = await tokenizer.encodeChat(request.messages, { limit }).catch((error) => {
    if (error instanceof RunTooLongError)
      throw new ApiError("invalid_value", `A message cannot be read: ${error.message}.`, { param: "messages" });
    throw error;
  });
  const left = contextLength - ids.length;
  if (!complete || left < 1) {
    const resulted = complete ? `${ids.length}` : `more than ${limit}`;
    throw exceeded(
      `your messages resulted in ${resulted} tokens. Please reduce the length of the messages.`,
      "messages",
    );
  }
  const { maxTokens = Math.min(DEFAULT_MAX_TOKENS, left), maxTokensParam } = request;
  if (maxTokens > left) {
    throw exceeded(
      `you requested ${ids.length + maxTokens} tokens (${ids.length} in the messages, ${maxTokens} in the completion). Please reduce the length of the messages or completion.`,
      maxTokensParam,
    );
  }
  return { ids, maxTokens };
}
