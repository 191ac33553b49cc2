// Request fields that say how a reply is generated, as endpoints share them, and what they ask for.
import { z } from "@hono/zod-openapi";
import type { UnbudgetedRequest } from "../../serving/index.ts";
import { budgetSchema, type WireBudget } from "./budget.ts";
import { ApiError } from "./errors.ts";
import { logitBiasSchema, parseLogitBias } from "./logit-bias.ts";
import { seedSchema } from "./seed.ts";

/** A valid request of any endpoint. */
export interface ParsedRequest extends UnbudgetedRequest {
  /** The body's field, without what headers and the key say. */
  readonly budget: WireBudget | undefined;
}

/** Choices of one prompt. */
export const MAX_CHOICES = 16;

const penaltySchema = z.number().min(-2).max(2).nullish();

/** Of every endpoint that generates. */
export const generationFields = {
  model: z.string().min(1).openapi({
    description: "One of the ids of `GET /v1/models`: a variant, or `auto` for the best one within `budget`.",
  }),
  temperature: z.number().min(0).max(2).nullish().openapi({
    description: "0 takes the likeliest token. Default: 1.",
  }),
  top_p: z.number().min(0).max(1).nullish().openapi({ description: "Default: 1." }),
  seed: seedSchema.nullish(),
  stream: z.boolean().nullish().openapi({ description: "Sends the reply as server-sent events. Default: false." }),
  budget: budgetSchema.nullish(),
};

/** Of chat completions and completions. */
export const completionFields = {
  n: z.int().min(1).max(MAX_CHOICES).nullish().openapi({
    description: "How many choices to generate, each with random numbers of its own. Default: 1.",
  }),
  presence_penalty: penaltySchema.openapi({
    description: "Taken off the logit of every token that the reply has already. Default: 0.",
  }),
  frequency_penalty: penaltySchema.openapi({
    description: "Taken off the logit of a token once for each time that the reply has it. Default: 0.",
  }),
  logit_bias: logitBiasSchema.nullish(),
  stream_options: z
    .object({ include_usage: z.boolean().nullish(), include_obfuscation: z.boolean().nullish() })
    .nullish()
    .openapi({
      description:
        "Only with `stream`. `include_usage` adds a last chunk with the usage; `include_obfuscation` has no effect.",
    }),
};

const readable = z.object({ ...generationFields, ...completionFields });
type Given<T> = { readonly [K in keyof T]?: T[K] | undefined };

/** What these fields ask for, with the defaults of those that are absent. */
export function readGeneration(
  request: Given<z.infer<typeof readable>> & {
    readonly model: string;
    readonly user?: string | null | undefined;
    readonly safety_identifier?: string | null | undefined;
  },
): Pick<ParsedRequest, "model" | "user" | "budget" | "stream" | "seed" | "sampling"> {
  return {
    model: request.model,
    // An empty name is none.
    user: request.user || request.safety_identifier || undefined,
    budget: request.budget ?? undefined,
    stream: request.stream ?? false,
    seed: request.seed ?? undefined,
    sampling: {
      temperature: request.temperature ?? 1,
      topP: request.top_p ?? 1,
      presencePenalty: request.presence_penalty ?? 0,
      frequencyPenalty: request.frequency_penalty ?? 0,
      logitBias: parseLogitBias(request.logit_bias),
    },
  };
}

/** Characters of a stop text: finding it takes a table of its length for each choice. */
const MAX_STOP = 4_096;
const stopText = z.string().min(1).max(MAX_STOP);

/** `stop`: up to `most` texts before which a reply ends. */
export const stopSchema = (most: number) =>
  z.union([stopText, z.array(stopText).max(most)], {
    error: `expected a string of 1 to ${MAX_STOP} characters or an array of up to ${most} of them`,
  });

export const readStop = (stop: string | readonly string[] | null | undefined): string[] =>
  (typeof stop === "string" ? [stop] : (stop ?? [])).map((text) => text.toWellFormed());

/** Whether a stream is to tell its usage. @throws ApiError for stream options of a request that is not streamed */
export function readIncludeUsage({
  stream,
  stream_options: options,
}: Pick<z.infer<typeof readable>, "stream" | "stream_options">): boolean {
  if (options && !stream) {
    throw new ApiError("invalid_value", "'stream_options' is only allowed when 'stream' is true.", {
      param: "stream_options",
    });
  }
  return options?.include_usage ?? false;
}
