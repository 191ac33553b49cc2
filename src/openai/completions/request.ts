// The body of POST /v1/completions: its schema, and what the rest of the gateway needs of it.
import { z } from "@hono/zod-openapi";
import { MAX_LIKELIEST } from "../../serving/index.ts";
import { USER } from "../shared/common-fields.ts";
import { ApiError } from "../shared/errors.ts";
import {
  completionFields,
  generationFields,
  MAX_CHOICES,
  type ParsedRequest,
  readGeneration,
  readIncludeUsage,
  readStop,
  stopSchema,
} from "../shared/generation-fields.ts";
import { only, refuse } from "../shared/unsupported.ts";
import { validate } from "../shared/validate.ts";
import { parsePrompts, promptSchema } from "./prompt.ts";

const DEFAULT_MAX_TOKENS = 16;
/** More than the 4 that OpenAI takes: evaluation harnesses send a task's whole list. */
const MAX_STOPS = 256;
/** Choices that are generated for one request, `best_of` times its prompts. */
const MAX_GENERATED = 128;
/** Log-probabilities that one reply may tell; each takes some 200 bytes on its way through the gateway. */
const MAX_TOLD = 200_000;

const UNSUPPORTED = { suffix: only("") };

export const completionRequestSchema = z
  .object({
    ...generationFields,
    ...completionFields,
    prompt: promptSchema,
    max_tokens: z
      .int()
      .min(0)
      .nullish()
      .openapi({
        description: `Most tokens of each reply. Prompt and reply must fit the context. 0 only with \`echo\`. Default: ${DEFAULT_MAX_TOKENS}, or what is left of the context when that is less.`,
      }),
    best_of: z.int().min(1).max(MAX_CHOICES).nullish().openapi({
      description:
        "Generates this many choices for each prompt, of which the `n` with the highest mean log-probability of a token are told, the best first. Above 1 only without `stream`. Default: `n`, in the order of their random numbers.",
    }),
    echo: z.boolean().nullish().openapi({ description: "Begins each choice with its prompt. Default: false." }),
    logprobs: z.int().min(0).max(MAX_LIKELIEST).nullish().openapi({
      description:
        "Tells every token with its log-probability, and this many of the likeliest in its place; with `echo` also the prompt's tokens. Default: none of it.",
    }),
    stop: stopSchema(MAX_STOPS)
      .nullish()
      .openapi({ description: `Up to ${MAX_STOPS} texts before which a reply ends. They are not part of the reply.` }),
    user: z.string().nullish().openapi({ description: USER }),
  })
  .openapi("CompletionRequest", {
    description:
      "Unknown fields are ignored. `suffix` is refused with `unsupported_parameter`: the model cannot fill in the middle.",
    example: { model: "smollm2-135m", prompt: "The capital of Italy is", max_tokens: 8, temperature: 0 },
  });

/** A valid request. */
export interface CompletionRequest {
  readonly ask: ParsedRequest;
  readonly includeUsage: boolean;
  readonly echo: boolean;
  /** The likeliest to tell of each token; undefined when nothing is. */
  readonly logprobs: number | undefined;
  /** Choices to tell of each prompt: the best of those generated if these are more. */
  readonly n: number;
  /** Choices come best first. */
  readonly ranked: boolean;
}

/** @throws ApiError that names the field at fault */
export function parseCompletionRequest(body: unknown): CompletionRequest {
  if (typeof body === "object" && body !== null) refuse(body as Record<string, unknown>, UNSUPPORTED);
  const request = validate(completionRequestSchema, body);
  const prompts = parsePrompts(request.prompt);
  const includeUsage = readIncludeUsage(request);
  const n = request.n ?? 1;
  const bestOf = request.best_of ?? n;
  const ranked = bestOf > 1 && request.best_of != null;
  const echo = request.echo ?? false;
  const maxTokens = request.max_tokens ?? undefined;
  const logprobs = request.logprobs ?? undefined;
  const refused = (param: string, message: string) => new ApiError("invalid_value", message, { param });
  if (bestOf < n) throw refused("best_of", `'best_of' (${bestOf}) must be at least 'n' (${n}).`);
  if (ranked && request.stream) {
    throw refused("best_of", "'best_of' above 1 cannot be streamed: leave out 'best_of' or 'stream'.");
  }
  if (maxTokens === 0 && !echo) throw refused("max_tokens", "'max_tokens' may be 0 only when 'echo' is true.");
  if (prompts.length * bestOf > MAX_GENERATED) {
    throw refused(
      "prompt",
      `${prompts.length} prompts with ${bestOf} choices each are more than the ${MAX_GENERATED} choices that one request can have.`,
    );
  }
  const ask: ParsedRequest = {
    ...readGeneration(request),
    warnings: [],
    mayShorten: maxTokens === undefined,
    n: bestOf,
    stop: readStop(request.stop),
    logprobs: logprobs ?? (ranked ? 0 : undefined),
    // A replica that is asked for no tokens is asked for the prompt's likelihoods.
    promptLogprobs: maxTokens === 0 ? (logprobs ?? 0) : echo ? logprobs : undefined,
    maxLogprobs: logprobs === undefined ? undefined : MAX_TOLD,
    prompt: {
      kind: "texts",
      prompts,
      maxTokens,
      maxTokensParam: "max_tokens",
      defaultMaxTokens: DEFAULT_MAX_TOKENS,
    },
  };
  return { ask, includeUsage, echo, logprobs, n, ranked };
}
