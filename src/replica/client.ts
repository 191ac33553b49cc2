// The gateway's side of a generation: frames as they come, and a cancel that reaches the replica even while a frame is awaited.
import { type Frame, frameSchema, type GenerateRequest, type Replica } from "./protocol.ts";

/** The replica could not be called, or its stream broke off. */
export class ReplicaGoneError extends Error {
  override readonly name = "ReplicaGoneError";
}

/** Longest line a replica may send, in characters. */
const MAX_LINE = 64 * 1024;

/**
 * Frames of one generation, up to and including `end` or `error`. Leaving the loop or aborting the signal cancels the replica's stream.
 * @throws ReplicaGoneError, or the signal's reason once that is aborted
 */
export async function* readFrames(
  replica: Replica,
  request: GenerateRequest,
  signal: AbortSignal,
): AsyncGenerator<Frame, void, undefined> {
  const reader = (await openStream(replica, request, signal)).getReader();
  const cancel = (): Promise<void> => reader.cancel().catch(() => {});
  const onAbort = (): void => void cancel();
  signal.addEventListener("abort", onAbort);
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const chunk = await reader.read().catch((error: unknown) => {
        signal.throwIfAborted();
        throw new ReplicaGoneError("the replica's stream failed", { cause: error });
      });
      signal.throwIfAborted();
      if (chunk.done) throw new ReplicaGoneError("the replica's stream ended before its last frame");
      const lines = (rest + decoder.decode(chunk.value, { stream: true })).split("\n");
      rest = lines.pop() as string;
      if (rest.length > MAX_LINE) throw new ReplicaGoneError("the replica sent a line that is too long");
      for (const line of lines) {
        const frame = parseFrame(line);
        yield frame;
        if (frame.type === "end" || frame.type === "error") return;
        signal.throwIfAborted();
      }
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    await cancel();
  }
}

function parseFrame(line: string): Frame {
  try {
    return frameSchema.parse(JSON.parse(line));
  } catch (error) {
    throw new ReplicaGoneError("the replica sent what is not a frame", { cause: error });
  }
}

/** Calls the replica; one that answers after the signal was aborted is told to stop. */
async function openStream(
  replica: Replica,
  request: GenerateRequest,
  signal: AbortSignal,
): Promise<ReadableStream<Uint8Array>> {
  signal.throwIfAborted();
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  const opening = replica.generate(request);
  try {
    return await Promise.race([opening, aborted]);
  } catch (error) {
    opening.then(
      (stream) => stream.cancel().catch(() => {}),
      () => {},
    );
    signal.throwIfAborted();
    throw new ReplicaGoneError("the replica could not be called", { cause: error });
  }
}
