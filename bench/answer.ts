// A child's side of bench/child.ts: says that it is ready, then answers one request at a time until the bench lets go.
import type { Arrivals, RunRequest } from "./subject.ts";

/** What a child sends: `ready` or `unavailable` once, then one of the others for each request. */
export type ChildMessage =
  | { readonly ready: string }
  | { readonly unavailable: string }
  | { readonly arrivals: Arrivals }
  | { readonly rates: Rates }
  | { readonly failed: string };

/** What one core can do, in the units that the report divides by. */
export interface Rates {
  /** Bytes a second read in order from memory far larger than the caches. */
  readonly readBytes: number;
  /** Operations a second of products of 8-bit integers and their sums; a multiply-add is two. */
  readonly dotOperations: number;
}

export const send = (message: ChildMessage): void => {
  process.send?.(message);
};

/** @param close called when the bench has let go, before the process ends */
export function answer(
  ready: string,
  reply: (request: RunRequest) => Promise<ChildMessage>,
  close: () => Promise<void> = async () => {},
): void {
  process.on("message", (request: RunRequest) => {
    reply(request).then(send, (error: Error) => send({ failed: error.stack ?? error.message }));
  });
  process.on("disconnect", () => close().finally(() => process.exit(0)));
  send({ ready });
}
