// What is asked of the object that runs a background response, and what it asks for itself.
import type { Access } from "../access/index.ts";
import type { Item, ResponseObject } from "../openai/index.ts";

/** All that it takes to answer, kept with the object: nobody waits for the reply, so that a restart must not lose it. */
export interface ResponseJob {
  /** As it was told to the client: queued. */
  readonly response: ResponseObject;
  /** The request, as its schema lets it through: as JSON, because integers beyond 2^53 and the order of names survive only there. */
  readonly body: string;
  /** All items, with those of the responses before. */
  readonly conversation: readonly Item[];
  readonly access: Access;
  /** The request's headers that change the answer, and its id. */
  readonly headers: readonly (readonly [string, string])[];
}

export interface ResponseRunner {
  /** Settles once the job is kept; it then runs by itself. */
  start(job: ResponseJob): Promise<void>;
  /** Stops it, whatever it is at. */
  cancel(): Promise<void>;
  /** Its turn may have come. */
  resume(): Promise<void>;
}

/** Makes a job's response. @throws JobError when it fails */
export type RunJob = (
  job: ResponseJob,
  event: { readonly signal: AbortSignal; waitUntil(promise: Promise<unknown>): void },
) => Promise<ResponseObject>;

export interface JobErrorOptions extends ErrorOptions {
  /** Whether another attempt may do better. */
  readonly retry: boolean;
  /** When there will be room for it; undefined where nobody knows. */
  readonly retryMs: number | undefined;
}

/** A response that could not be made. */
export class JobError extends Error {
  override readonly name = "JobError";
  readonly retry: boolean;
  readonly retryMs: number | undefined;
  constructor(
    /** As the response tells it. */
    readonly code: NonNullable<ResponseObject["error"]>["code"],
    message: string,
    { retry, retryMs, ...options }: JobErrorOptions,
  ) {
    super(message, options);
    this.retry = retry;
    this.retryMs = retryMs;
  }
}
