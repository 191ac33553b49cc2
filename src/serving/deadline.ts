// How long a reply may take, and whether anyone still waits for it.
import type { Context } from "hono";
import { ApiError, ClientGoneError } from "../openai/index.ts";
import type { AppEnv } from "../routes/context.ts";

export interface Deadline {
  /** Aborted at the deadline, or when the runtime says that the client has left, which it does not always. */
  readonly signal: AbortSignal;
  /** To be called once the reply has ended. */
  release(): void;
}

export function startDeadline(c: Context<AppEnv>, deadlineMs: number): Deadline {
  const controller = new AbortController();
  const onGone = (): void => controller.abort(new ClientGoneError("the client left"));
  const onDeadline = (): void =>
    controller.abort(new ApiError("deadline_exceeded", `The reply was not finished within ${deadlineMs} ms.`));
  const timer = setTimeout(onDeadline, deadlineMs);
  const client = c.req.raw.signal;
  client.addEventListener("abort", onGone);
  return {
    signal: controller.signal,
    release() {
      clearTimeout(timer);
      client.removeEventListener("abort", onGone);
    },
  };
}
