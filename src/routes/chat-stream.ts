// A reply as server-sent events, written as the replica's frames come in.
import type { Context } from "hono";
import {
  ClientGoneError,
  chunksOf,
  createEventStream,
  type Generation,
  type ReplyOptions,
  toEnvelope,
} from "../openai/index.ts";
import type { Log } from "../telemetry/index.ts";
import { type AppEnv, reportError } from "./context.ts";

/** A client that stops reading is cut off this long after the deadline. */
const STUCK_MS = 5_000;

/** One reply on its way. */
export interface Reply extends Omit<ReplyOptions, "fingerprint"> {
  readonly generation: Generation;
  readonly promptTokens: number;
  readonly includeUsage: boolean;
  readonly signal: AbortSignal;
  /** Awaited once the replica has sent something: before, it may still be loading. */
  fingerprint(): Promise<string>;
}

export interface StreamedReply {
  readonly response: Response;
  /** Settles when the stream has ended, in whatever way. */
  readonly settled: Promise<void>;
}

/** Waits for a sign of life first: until then, a failure still gets its own status. */
export async function streamReply(c: Context<AppEnv>, log: Log, reply: Reply): Promise<StreamedReply> {
  const { generation, promptTokens, includeUsage, signal } = reply;
  const { events } = generation;
  const record = c.get("record");
  const first = await events.next();
  const out = createEventStream();
  const cutOff = (): void => {
    stuck = setTimeout(out.abort, STUCK_MS);
  };
  let stuck: ReturnType<typeof setTimeout> | undefined;
  signal.addEventListener("abort", cutOff);

  const pump = async (): Promise<void> => {
    let chunks: ReturnType<typeof chunksOf> | undefined;
    for (let next = first; !next.done; next = await events.next()) {
      const event = next.value;
      if (event.type === "idle") {
        await out.comment("waiting");
        continue;
      }
      if (!chunks) {
        chunks = chunksOf({ ...reply, fingerprint: await reply.fingerprint() }, includeUsage);
        await out.send(chunks.role());
      }
      if (event.type === "text") {
        await out.send(chunks.text(event.text));
        continue;
      }
      record.finishReason = event.finishReason;
      await out.send(chunks.finish(event.finishReason, generation.downshifts));
      const { completionTokens } = generation;
      if (includeUsage) await out.send(chunks.usage({ promptTokens, completionTokens }));
      await out.send("[DONE]");
    }
  };
  const settled = pump()
    .catch(async (error: unknown) => {
      const known = reportError(c, log, error);
      if (!(error instanceof ClientGoneError)) await out.send(toEnvelope(known));
    })
    .then(out.close)
    .catch(() => {})
    .then(async () => {
      signal.removeEventListener("abort", cutOff);
      clearTimeout(stuck);
      await events.return();
      record.completionTokens = generation.completionTokens;
    });
  const headers = { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" };
  return { response: c.body(out.readable, 200, headers), settled };
}
