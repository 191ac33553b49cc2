// Server-sent events with awaited writes: a slow client slows the generation down, and one that has left is noticed.

export interface ServerEvent {
  /** Its name. Default: none. */
  readonly event?: string | undefined;
  readonly data: object | "[DONE]";
}

export interface EventStream {
  readonly readable: ReadableStream<Uint8Array>;
  /** Writes one event. Each of these rejects once the client has left. */
  send(event: ServerEvent): Promise<void>;
  /** Writes a comment, which clients skip. */
  comment(text: string): Promise<void>;
  close(): Promise<void>;
  /** Breaks the stream off, with whatever write is waiting for a client that does not read. */
  abort(): void;
}

/** The client left before the stream's end. */
export class ClientGoneError extends Error {
  override readonly name = "ClientGoneError";
}

export function createEventStream(): EventStream {
  // A JavaScript-backed stream would never hear that the client has gone; this one's writes fail.
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  const encoder = new TextEncoder();
  writer.closed.catch(() => {});
  const gone = (cause: unknown): never => {
    throw new ClientGoneError("the client left", { cause });
  };
  const write = (text: string): Promise<void> => writer.write(encoder.encode(text)).catch(gone);
  return {
    readable,
    send: ({ event, data }) =>
      write(`${event ? `event: ${event}\n` : ""}data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`),
    comment: (text) => write(`: ${text}\n\n`),
    close: () => writer.close().catch(gone),
    abort: () => void writer.abort().catch(() => {}),
  };
}
