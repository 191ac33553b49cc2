// What can go wrong at every endpoint that generates.
import type { ErrorCode } from "../openai/index.ts";

export const GENERATION_ERRORS = [
  "invalid_json",
  "missing_required_parameter",
  "invalid_type",
  "invalid_value",
  "invalid_json_schema",
  "invalid_function_parameters",
  "unsupported_parameter",
  "context_length_exceeded",
  "grammar_failed",
  "invalid_api_key",
  "model_not_found",
  "request_too_large",
  "unsupported_media_type",
  "budget_unmet",
  "internal_error",
  "numerical_error",
  "misconfigured",
  "overloaded",
  "out_of_memory",
  "replica_unavailable",
  "model_damaged",
  "deadline_exceeded",
] as const satisfies readonly ErrorCode[];
