// The one place where the errors of the domain become those of the API.
import { AccessError } from "../access/index.ts";
import { RateLimitError } from "../limits/index.ts";
import { ApiError, type ErrorCode, retryAfter } from "../openai/index.ts";
import { ClientGoneError, ReplicaGoneError, ServingError, type ServingErrorCode } from "../serving/index.ts";
import { StorageError } from "../storage/index.ts";
import type { Log, RequestRecord } from "../telemetry/index.ts";
import { ChatTemplateError } from "../tokenizer/index.ts";

const SERVING_ERRORS: Record<ServingErrorCode, ErrorCode> = {
  unknown_model: "model_not_found",
  prompt_too_long: "context_length_exceeded",
  invalid_request: "invalid_value",
  budget_unmet: "budget_unmet",
  no_variant: "replica_unavailable",
  deadline_exceeded: "deadline_exceeded",
  key_overloaded: "key_overloaded",
  overloaded: "overloaded",
  out_of_memory: "out_of_memory",
  too_large: "model_too_large",
  context_overflow: "context_length_exceeded",
  damaged_weights: "model_damaged",
  not_finite: "numerical_error",
  grammar_failed: "grammar_failed",
  internal: "internal_error",
};

const LIMIT_ERRORS: Record<RateLimitError["limit"], ErrorCode> = {
  requests: "rate_limit_requests",
  tokens: "rate_limit_tokens",
  too_large: "rate_limit_too_large",
};

/** An unexpected error becomes `internal_error` and tells the client nothing of itself. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof ServingError) {
    const { code, message, param, retryMs } = error;
    const headers = retryMs === undefined ? {} : retryAfter(retryMs);
    return new ApiError(SERVING_ERRORS[code], message, { param, headers });
  }
  if (error instanceof AccessError) {
    const headers = error.code === "invalid_api_key" ? { "www-authenticate": "Bearer" } : {};
    return new ApiError(error.code, error.message, { headers });
  }
  if (error instanceof RateLimitError) {
    const { limit, message, retryMs } = error;
    const headers = retryMs === undefined ? {} : { "retry-after": String(Math.ceil(retryMs / 1000)) };
    return new ApiError(LIMIT_ERRORS[limit], message, { headers });
  }
  if (error instanceof ReplicaGoneError) {
    return new ApiError("replica_unavailable", "The model's replica is not reachable at the moment. Try again.");
  }
  if (error instanceof StorageError) {
    return new ApiError(
      "storage_unavailable",
      "What this gateway keeps in its database is not reachable at the moment. Try again.",
    );
  }
  if (error instanceof ChatTemplateError) return new ApiError("invalid_value", error.message, { param: error.param });
  return new ApiError("internal_error", "The server had an error while processing your request.");
}

/** Notes an error in its request's record, logs it if nobody foresaw it, and gives what the client gets to know. */
export function noteError(record: RequestRecord, log: Log, error: unknown): ApiError {
  const known = toApiError(error);
  record.error = error instanceof ClientGoneError ? "client_gone" : known.code;
  if (!isForeseen(error)) {
    const { name, message, stack, cause } = error instanceof Error ? error : new Error(String(error));
    const because = cause instanceof Error ? `${message}: ${cause.message}` : message;
    log.failure({ requestId: record.requestId, name, message: because, stack });
  }
  return known;
}

const FORESEEN = [ApiError, AccessError, RateLimitError, ServingError, ClientGoneError, ChatTemplateError];
const isForeseen = (error: unknown): boolean => FORESEEN.some((kind) => error instanceof kind);
