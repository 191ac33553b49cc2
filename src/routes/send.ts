// A reply that goes on after its handler has returned: written as its parts come, until it ends in whatever way.
import type { Context } from "hono";
import type { ApiError } from "../openai/index.ts";
import { ClientGoneError, type GenerationRun } from "../serving/index.ts";
import type { Log } from "../telemetry/index.ts";
import { type AppEnv, reportError } from "./context.ts";
import type { ReplyStream } from "./reply-stream.ts";

/** A client that stops reading is cut off this long after the deadline. */
const STUCK_MS = 5_000;

export interface SendOptions {
  readonly log: Log;
  readonly run: GenerationRun;
  readonly out: ReplyStream;
  /** Writes the reply. Throws what it fails of. */
  write(): Promise<void>;
  /** Tells the client that it failed; then the stream is closed. */
  fail(error: ApiError): void | Promise<void>;
}

/** Begins to send: the request is over when the reply has ended. */
export function sendReply(c: Context<AppEnv>, options: SendOptions): void {
  c.set("settled", send(c, options));
}

async function send(c: Context<AppEnv>, { log, run, out, write, fail }: SendOptions): Promise<void> {
  let stuck: ReturnType<typeof setTimeout> | undefined;
  const cutOff = (): void => {
    stuck = setTimeout(out.abort, STUCK_MS);
  };
  run.signal.addEventListener("abort", cutOff);
  let failure: unknown;
  try {
    await write().catch((error: unknown) => {
      failure = error;
      const known = reportError(c, log, error);
      return error instanceof ClientGoneError ? undefined : fail(known);
    });
    await out.close();
  } catch {
    // The client left while it was told.
  } finally {
    run.signal.removeEventListener("abort", cutOff);
    clearTimeout(stuck);
    await run.leave(failure);
  }
}
