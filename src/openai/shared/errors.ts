// The errors of the API: their codes, statuses and envelopes. src/routes/errors.ts has which failure becomes which.
import { z } from "@hono/zod-openapi";
import { ERROR_EXAMPLES } from "./error-examples.ts";

const TYPES = ["invalid_request_error", "requests", "tokens", "server_error"] as const;

interface ErrorKind {
  readonly status: 400 | 401 | 403 | 404 | 405 | 408 | 413 | 415 | 422 | 429 | 500 | 503 | 504;
  readonly type: (typeof TYPES)[number];
  /** The code that clients see, where several kinds of error share one. Default: the kind's name. */
  readonly code?: "rate_limit_exceeded";
  /** Whether the same request may do better later. Default: false. */
  readonly retry?: true;
}

const ERRORS = {
  invalid_json: { status: 400, type: "invalid_request_error" },
  missing_required_parameter: { status: 400, type: "invalid_request_error" },
  invalid_type: { status: 400, type: "invalid_request_error" },
  invalid_value: { status: 400, type: "invalid_request_error" },
  invalid_json_schema: { status: 400, type: "invalid_request_error" },
  invalid_function_parameters: { status: 400, type: "invalid_request_error" },
  unsupported_parameter: { status: 400, type: "invalid_request_error" },
  context_length_exceeded: { status: 400, type: "invalid_request_error" },
  // Some clients retry every 5xx, whatever the headers say: only a smaller variant or another configuration helps here.
  model_too_large: { status: 400, type: "invalid_request_error" },
  grammar_failed: { status: 400, type: "invalid_request_error" },
  invalid_api_key: { status: 401, type: "invalid_request_error" },
  insufficient_permissions: { status: 403, type: "invalid_request_error" },
  model_not_found: { status: 404, type: "invalid_request_error" },
  decision_not_found: { status: 404, type: "invalid_request_error" },
  response_not_found: { status: 404, type: "invalid_request_error" },
  experiment_not_found: { status: 404, type: "invalid_request_error" },
  completion_not_found: { status: 404, type: "invalid_request_error" },
  previous_response_not_found: { status: 400, type: "invalid_request_error" },
  unknown_url: { status: 404, type: "invalid_request_error" },
  unsupported_endpoint: { status: 404, type: "invalid_request_error" },
  method_not_allowed: { status: 405, type: "invalid_request_error" },
  request_timeout: { status: 408, type: "invalid_request_error" },
  request_too_large: { status: 413, type: "invalid_request_error" },
  unsupported_media_type: { status: 415, type: "invalid_request_error" },
  budget_unmet: { status: 422, type: "invalid_request_error" },
  rate_limit_requests: { status: 429, type: "requests", code: "rate_limit_exceeded", retry: true },
  rate_limit_tokens: { status: 429, type: "tokens", code: "rate_limit_exceeded", retry: true },
  key_overloaded: { status: 429, type: "requests", code: "rate_limit_exceeded", retry: true },
  rate_limit_too_large: { status: 429, type: "tokens", code: "rate_limit_exceeded" },
  internal_error: { status: 500, type: "server_error" },
  numerical_error: { status: 500, type: "server_error" },
  misconfigured: { status: 500, type: "server_error" },
  overloaded: { status: 503, type: "server_error", retry: true },
  out_of_memory: { status: 503, type: "server_error", retry: true },
  replica_unavailable: { status: 503, type: "server_error", retry: true },
  storage_unavailable: { status: 503, type: "server_error", retry: true },
  model_damaged: { status: 503, type: "server_error" },
  deadline_exceeded: { status: 504, type: "server_error" },
} satisfies Record<string, ErrorKind>;
export type ErrorCode = keyof typeof ERRORS;

export const kindOf = (code: ErrorCode): ErrorKind => ERRORS[code];

const wireCode = (code: ErrorCode): string => kindOf(code).code ?? code;
const WIRE_CODES = [...new Set((Object.keys(ERRORS) as ErrorCode[]).map(wireCode))];

export interface ApiErrorOptions {
  /** Path of the field at fault, as `messages.0.content`. Default: none. */
  readonly param?: string | undefined;
  /** More reply headers. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A failure whose message is meant for the client. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly param: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  constructor(
    readonly code: ErrorCode,
    message: string,
    { param, headers = {} }: ApiErrorOptions = {},
  ) {
    super(message);
    this.param = param;
    this.headers = headers;
  }
}

export const errorEnvelopeSchema = z
  .object({
    error: z.object({
      message: z.string(),
      type: z.enum(TYPES),
      param: z.string().nullable().openapi({ description: "Path of the field at fault, as `messages.0.content`." }),
      code: z.enum(WIRE_CODES),
    }),
  })
  .openapi("Error");
export type ErrorEnvelope = z.infer<typeof errorEnvelopeSchema>;

/** In whole seconds as HTTP has it, and in milliseconds as OpenAI's SDKs read it first. */
export const retryAfter = (ms: number): Record<string, string> => ({
  "retry-after": String(Math.ceil(ms / 1000)),
  "retry-after-ms": String(Math.ceil(ms)),
});

export const toEnvelope = ({ code, message, param }: ApiError): ErrorEnvelope => ({
  error: { message, type: kindOf(code).type, param: param ?? null, code: wireCode(code) },
});

/** The reply to a request that failed before anything of it was sent. */
export function errorResponse(error: ApiError): Response {
  const { status, retry = false } = kindOf(error.code);
  return Response.json(toEnvelope(error), {
    status,
    headers: {
      "x-should-retry": String(retry),
      ...(retry ? { "retry-after": "1" } : {}),
      ...error.headers,
    },
  });
}

function exampleOf(code: ErrorCode): ErrorEnvelope {
  const [message, param] = ERROR_EXAMPLES[code];
  return toEnvelope(new ApiError(code, message, { param }));
}

/** Statuses and their codes, for the description of an endpoint. */
export function errorResponses(...codes: ErrorCode[]) {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of codes) {
    const { status } = kindOf(code);
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, list]) => [
      status,
      {
        description: `\`error.code\` is ${[...new Set(list.map(wireCode))].map((code) => `\`${code}\``).join(" or ")}.`,
        content: {
          "application/json": {
            schema: errorEnvelopeSchema,
            examples: Object.fromEntries(list.map((code) => [code, { value: exampleOf(code) }])),
          },
        },
      },
    ]),
  );
}
