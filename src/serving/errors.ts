// What a generation fails of, in this code's own terms. What a client is told of it is in
// src/routes/errors.ts.
import type { ReplicaErrorCode } from "../replica/index.ts";

export { ReplicaGoneError } from "../replica/index.ts";

export type ServingErrorCode =
  | ReplicaErrorCode
  | "unknown_model"
  /** Prompt and reply have more tokens than the model reads. */
  | "prompt_too_long"
  /** A prompt that no tokenizer can read, or a request whose reply would be too much to tell. */
  | "invalid_request"
  /** No variant meets a strict budget. */
  | "budget_unmet"
  /** No variant may serve now. */
  | "no_variant";

/** Failures that say nothing about the gateway: the request asked for what cannot be, or for too much at a time. */
const CLIENT_CODES: ReadonlySet<ServingErrorCode> = new Set([
  "unknown_model",
  "prompt_too_long",
  "invalid_request",
  "budget_unmet",
  "key_overloaded",
  "too_large",
  "context_overflow",
  "grammar_failed",
]);

export interface ServingErrorOptions extends ErrorOptions {
  /** Path of the request's field at fault, as the request names it. Default: none. */
  readonly param?: string | undefined;
  /** When another attempt will be taken, in milliseconds. Default: nobody knows. */
  readonly retryMs?: number | undefined;
}

/** A generation that failed for a known reason. The message is meant for the client. */
export class ServingError extends Error {
  override readonly name = "ServingError";
  readonly param: string | undefined;
  readonly retryMs: number | undefined;
  constructor(
    readonly code: ServingErrorCode,
    message: string,
    { param, retryMs, ...options }: ServingErrorOptions = {},
  ) {
    super(message, options);
    this.param = param;
    this.retryMs = retryMs;
  }
}

/** The client left before the end. */
export class ClientGoneError extends Error {
  override readonly name = "ClientGoneError";
}

/** Whether a failure counts against what served the request. */
export const isGatewayFault = (error: unknown): boolean =>
  !(error instanceof ClientGoneError) && !(error instanceof ServingError && CLIENT_CODES.has(error.code));
