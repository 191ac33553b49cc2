// A reply's bytes with awaited writes: a slow client slows the generation down, and one that has left is noticed.
import { ClientGoneError } from "../serving/index.ts";

export interface ReplyStream {
  readonly readable: ReadableStream<Uint8Array>;
  /** Rejects with ClientGoneError once the client has left, as `close` does. */
  write(text: string): Promise<void>;
  close(): Promise<void>;
  /** Breaks the stream off, with whatever write is waiting for a client that does not read. */
  abort(): void;
}

export function createReplyStream(): ReplyStream {
  // A JavaScript-backed stream would never hear that the client has gone; this one's writes fail.
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  const encoder = new TextEncoder();
  writer.closed.catch(() => {});
  const gone = (cause: unknown): never => {
    throw new ClientGoneError("the client left", { cause });
  };
  return {
    readable,
    write: (text) => writer.write(encoder.encode(text)).catch(gone),
    close: () => writer.close().catch(gone),
    abort: () => void writer.abort(new Error("the reply broke off")).catch(() => {}),
  };
}
