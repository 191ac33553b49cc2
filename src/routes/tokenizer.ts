// POST /tokenize, POST /detokenize and GET /tokenizer_info, at the root and in the shapes of vLLM's server
// (vllm/entrypoints/serve/tokenize/protocol.py), because evaluation harnesses look for them there. They hold no secret, so a key is not
// needed; one that is sent is checked. No limit of a key counts them: a harness tokenizes eight times for each item.
import { createRoute, z } from "@hono/zod-openapi";
import { createAuthorizationCheck } from "../access/index.ts";
import { ApiError, errorResponses, parseIds, validate } from "../openai/index.ts";
import { RunTooLongError, type Tokenizer } from "../tokenizer/index.ts";
import { AUTO, type BaseModel } from "../variants/index.ts";
import { bearer } from "./bearer.ts";
import { readJson } from "./body.ts";
import type { AddRoutes } from "./context.ts";

/** Longer texts would only hold up others: no model here reads that much at once. */
const MAX_CHARACTERS = 1_000_000;
const MAX_IDS = 200_000;

const model = z.string().nullish().openapi({
  description: "One of the ids of `GET /v1/models`. Default: the first; all variants of one base share its tokenizer.",
});

const tokenizeRequestSchema = z
  .object({
    model,
    prompt: z.string().max(MAX_CHARACTERS, `expected at most ${MAX_CHARACTERS} characters`),
    add_special_tokens: z.boolean().nullish().openapi({
      description:
        "Whether the text begins with the bos token where the model's texts do (`add_bos_token` of `GET /tokenizer_info`). Default: true.",
    }),
  })
  .openapi("TokenizeRequest", {
    description: "A special token that the text spells, such as `<|im_end|>`, becomes that token.",
    example: { prompt: "The capital of Italy is", add_special_tokens: false },
  });

const tokenizeResponseSchema = z
  .object({
    count: z.int(),
    max_model_len: z.int().openapi({ description: "Most tokens that prompt and reply can have together." }),
    tokens: z.array(z.int()),
  })
  .openapi("TokenizeResponse");

/** Read by hand: a schema would gather an error for every element. */
const tokensSchema = z
  .custom<unknown>((value) => value !== undefined)
  .openapi({ type: "array", maxItems: MAX_IDS, items: { type: "integer", minimum: 0 } });
const detokenizeRequestSchema = z
  .object({ model, tokens: tokensSchema })
  .openapi("DetokenizeRequest", { example: { tokens: [504, 3575, 282, 7405, 314] } });

const detokenizeResponseSchema = z
  .object({
    prompt: z
      .string()
      .openapi({ description: "Special tokens are spelled out; bytes that are not UTF-8 become U+FFFD." }),
  })
  .openapi("DetokenizeResponse");

const tokenizerInfoSchema = z
  .object({
    tokenizer_class: z.string(),
    bos_token: z.string().optional(),
    eos_token: z.string().optional(),
    pad_token: z.string().optional(),
    unk_token: z.string().optional(),
    chat_template: z.string().optional(),
    add_bos_token: z.boolean().optional().openapi({ description: "Prompts begin with the bos token. Default: false." }),
    model_max_length: z.int(),
  })
  .openapi("TokenizerInfo", { description: "What Hugging Face's tokenizer_config.json has of it." });

const BODY_ERRORS = [
  "invalid_json",
  "missing_required_parameter",
  "invalid_type",
  "invalid_value",
  "invalid_api_key",
  "model_not_found",
  "request_timeout",
  "request_too_large",
  "unsupported_media_type",
  "internal_error",
] as const;

const tokenizeRoute = createRoute({
  method: "post",
  path: "/tokenize",
  summary: "Turn text into token ids",
  security: [{}, bearer],
  request: { body: { required: true, content: { "application/json": { schema: tokenizeRequestSchema } } } },
  responses: {
    200: { description: "The ids.", content: { "application/json": { schema: tokenizeResponseSchema } } },
    ...errorResponses(...BODY_ERRORS),
  },
});

const detokenizeRoute = createRoute({
  method: "post",
  path: "/detokenize",
  summary: "Turn token ids into text",
  security: [{}, bearer],
  request: { body: { required: true, content: { "application/json": { schema: detokenizeRequestSchema } } } },
  responses: {
    200: { description: "The text.", content: { "application/json": { schema: detokenizeResponseSchema } } },
    ...errorResponses(...BODY_ERRORS),
  },
});

const infoRoute = createRoute({
  method: "get",
  path: "/tokenizer_info",
  summary: "Describe the tokenizer",
  security: [{}, bearer],
  responses: {
    200: {
      description: "Of the first model of `GET /v1/models`.",
      content: { "application/json": { schema: tokenizerInfoSchema } },
    },
    ...errorResponses("invalid_api_key", "internal_error"),
  },
});

export const addTokenizerRoutes: AddRoutes = (app, deps) => {
  const checkAuthorization = createAuthorizationCheck(deps.apiKeys);
  const checkKey = (header: string | undefined): void => {
    if (header !== undefined) checkAuthorization(header);
  };
  /** @throws ApiError `model_not_found` */
  const find = (model?: string | null): { readonly base: BaseModel; readonly tokenizer: Tokenizer } => {
    const variant = model == null || model === AUTO ? [...deps.catalogue.values()][0] : deps.catalogue.get(model);
    if (!variant) {
      throw new ApiError(
        "model_not_found",
        `The model '${model?.slice(0, 100)}' does not exist. GET /v1/models lists the models there are.`,
        { param: "model" },
      );
    }
    const { base } = variant.plan;
    return { base, tokenizer: deps.tokenizerOf(base) };
  };
  for (const route of [tokenizeRoute, detokenizeRoute, infoRoute]) app.openAPIRegistry.registerPath(route);

  app.post(tokenizeRoute.path, async (c) => {
    checkKey(c.req.header("authorization"));
    const request = validate(tokenizeRequestSchema, await readJson(c.req.raw));
    const { base, tokenizer } = find(request.model);
    const tokens = await encode(tokenizer, request.prompt.toWellFormed(), request.add_special_tokens ?? true);
    return c.json({ count: tokens.length, max_model_len: base.config.contextLength, tokens });
  });

  app.post(detokenizeRoute.path, async (c) => {
    checkKey(c.req.header("authorization"));
    const { model, tokens: given } = validate(detokenizeRequestSchema, await readJson(c.req.raw));
    const tokens = parseTokens(given);
    const { tokenizer } = find(model);
    const at = tokens.findIndex((id) => id >= tokenizer.size);
    if (at >= 0) {
      throw new ApiError(
        "invalid_value",
        `Invalid value for 'tokens.${at}': token id ${tokens[at]} is not in the model's vocabulary, whose ids are below ${tokenizer.size}.`,
        { param: `tokens.${at}` },
      );
    }
    return c.json({ prompt: await tokenizer.decodeInTurns(tokens) });
  });

  app.get(infoRoute.path, (c) => {
    checkKey(c.req.header("authorization"));
    const { base, tokenizer } = find();
    return c.json({
      ...tokenizer.config,
      tokenizer_class: "PreTrainedTokenizerFast",
      model_max_length: base.config.contextLength,
    });
  });
};

/** @throws ApiError that names the element at fault */
function parseTokens(value: unknown): readonly number[] {
  const refused = (code: "invalid_type" | "invalid_value", problem: string) =>
    new ApiError(code, `Invalid value for 'tokens': ${problem}.`, { param: "tokens" });
  if (!Array.isArray(value)) throw refused("invalid_type", "expected an array of token ids");
  if (value.length > MAX_IDS) throw refused("invalid_value", `expected at most ${MAX_IDS} token ids`);
  return value.length > 0 ? parseIds(value, "tokens") : [];
}

async function encode(tokenizer: Tokenizer, prompt: string, addStart: boolean): Promise<number[]> {
  try {
    return (await tokenizer.encode(prompt, { addStart })).ids;
  } catch (error) {
    if (!(error instanceof RunTooLongError)) throw error;
    throw new ApiError("invalid_value", `The text cannot be read: ${error.message}.`, { param: "prompt" });
  }
}
