// Writes a generation's frames to its reader: holds few unread ones, keeps an idle stream alive, and tells when the reader has gone.
import type { Frame } from "./protocol.ts";

/** A frame goes out at least this often, so that a reader that has gone is noticed even while nothing is generated. */
const HEARTBEAT_MS = 200;
/** Unread frames at which the writer asks its producer to pause. With a reader that has gone, no more steps than this are computed. */
const MAX_UNREAD = 4;

export interface Outbox {
  readonly readable: ReadableStream<Uint8Array>;
  /** Writes a frame. The promise, when there is one, settles once the reader has caught up; it rejects when the reader has gone. */
  send(frame: Frame): Promise<void> | undefined;
  /** Writes a last frame and ends the stream. What comes after is ignored. */
  end(frame: Frame): void;
}

/** @param onGone called once when the reader has gone before the end */
export function createOutbox(onGone: () => void): Outbox {
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  const encoder = new TextEncoder();
  let unread = 0;
  let ended = false;
  let lastWrite = Date.now();

  const gone = (): void => {
    if (ended) return;
    ended = true;
    clearInterval(heartbeat);
    onGone();
  };
  const write = (frame: Frame): Promise<void> => {
    unread++;
    lastWrite = Date.now();
    const written = writer.write(encoder.encode(`${JSON.stringify(frame)}\n`)).then(() => {
      unread--;
    });
    written.catch(gone);
    return written;
  };
  const heartbeat = setInterval(() => {
    if (unread === 0 && Date.now() - lastWrite >= HEARTBEAT_MS - 20) write({ type: "wait" });
  }, HEARTBEAT_MS);

  return {
    readable,
    send(frame) {
      if (ended) return undefined;
      const written = write(frame);
      return unread >= MAX_UNREAD ? written : undefined;
    },
    end(frame) {
      if (ended) return;
      ended = true;
      clearInterval(heartbeat);
      write(frame)
        .then(() => writer.close())
        .catch(() => {});
    },
  };
}
