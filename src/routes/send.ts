// A reply that goes on after its handler has returned: written as its parts come, until it ends in whatever way.
import type { Context } from "hono";
import { type ApiError, ClientGoneError, type ReplyStream } from "../openai/index.ts";
import type { Answer } from "../serving/serve.ts";
import type { Log } from "../telemetry/index.ts";
import { type AppEnv, reportError } from "./context.ts";

/** A client that stops reading is cut off this long after the deadline. */
const STUCK_MS = 5_000;

export interface SendOptions {
  readonly log: Log;
  readonly answer: Answer;
  readonly out: ReplyStream;
  /** Writes the reply. Throws what it fails of. */
  write(): Promise<void>;
  /** Tells the client that it failed; then the stream is closed. */
  fail(error: ApiError): void | Promise<void>;
}

/** @returns settles when the reply has ended; it does not reject */
export async function sendReply(c: Context<AppEnv>, { log, answer, out, write, fail }: SendOptions): Promise<void> {
  const { events, signal } = answer;
  let stuck: ReturnType<typeof setTimeout> | undefined;
  const cutOff = (): void => {
    stuck = setTimeout(out.abort, STUCK_MS);
  };
  signal.addEventListener("abort", cutOff);
  try {
    await write().catch((error: unknown) => {
      const known = reportError(c, log, error);
      return error instanceof ClientGoneError ? undefined : fail(known);
    });
    await out.close();
  } catch {
    // The client left while it was told.
  } finally {
    signal.removeEventListener("abort", cutOff);
    clearTimeout(stuck);
    await events.return();
  }
}
