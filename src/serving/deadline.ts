// How long a reply may take, and whether anyone still waits for it.
import { ClientGoneError, ServingError } from "./errors.ts";
import type { RequestScope, ServingDeps } from "./scope.ts";

export interface Deadline {
  /** Aborted at the deadline, or when the runtime says that the client has left, which it does not always. */
  readonly signal: AbortSignal;
  /** Aborts the signal before its time. */
  abort(reason: unknown): void;
  /** To be called once the reply has ended. */
  release(): void;
}

export function startDeadline({ signal: client, arrivedAt }: RequestScope, deps: ServingDeps): Deadline {
  const { deadlineMs, now } = deps;
  const controller = new AbortController();
  const abort = (reason: unknown): void => controller.abort(reason);
  const onGone = (): void => abort(new ClientGoneError("the client left", { cause: client.reason }));
  const onDeadline = (): void =>
    abort(new ServingError("deadline_exceeded", `The reply was not finished within ${deadlineMs} ms.`));
  const timer = setTimeout(onDeadline, Math.max(0, deadlineMs - (now() - arrivedAt)));
  client.addEventListener("abort", onGone);
  if (client.aborted) onGone();
  return {
    signal: controller.signal,
    abort,
    release() {
      clearTimeout(timer);
      client.removeEventListener("abort", onGone);
    },
  };
}
