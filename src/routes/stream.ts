// A reply as server-sent events, written as the choices' events come in.
import type { Context } from "hono";
import {
  type ApiError,
  type ChoiceEvent,
  ClientGoneError,
  createEventStream,
  type ServerEvent,
  toEnvelope,
} from "../openai/index.ts";
import type { Log } from "../telemetry/index.ts";
import type { Answer, StreamedReply } from "./answer.ts";
import { type AppEnv, reportError } from "./context.ts";

/** A client that stops reading is cut off this long after the deadline. */
const STUCK_MS = 5_000;

/** Turns what comes of the choices into the events of one reply. */
export interface ReplyWriter {
  /** The events for the reply's beginning. */
  begin(): readonly ServerEvent[];
  write(event: ChoiceEvent): readonly ServerEvent[];
  /** The last events of a reply that is complete. */
  end(): readonly ServerEvent[] | Promise<readonly ServerEvent[]>;
}

export interface StreamOptions {
  readonly log: Log;
  readonly answer: Answer;
  /** Called with the fingerprint once the replica has sent something. */
  createWriter(fingerprint: string): ReplyWriter;
  /** What a client is told of an error in mid-stream. Default: `Error` without a name. */
  errorEvents?(error: ApiError): readonly ServerEvent[];
}

/** Waits for a sign of life first: until then, a failure still gets its own status. */
export async function streamReply(c: Context<AppEnv>, options: StreamOptions): Promise<StreamedReply> {
  const { log, answer, createWriter, errorEvents = (error) => [{ data: toEnvelope(error) }] } = options;
  const { events, signal } = answer;
  const first = await events.next();
  const out = createEventStream();
  const cutOff = (): void => {
    stuck = setTimeout(out.abort, STUCK_MS);
  };
  let stuck: ReturnType<typeof setTimeout> | undefined;
  signal.addEventListener("abort", cutOff);

  const sendAll = async (all: readonly ServerEvent[]): Promise<void> => {
    for (const event of all) await out.send(event);
  };
  const pump = async (): Promise<void> => {
    let writer: ReplyWriter | undefined;
    for (let next = first; !next.done; next = await events.next()) {
      const { value } = next;
      if (value.event.type === "idle") {
        await out.comment("waiting");
        continue;
      }
      if (!writer) {
        writer = createWriter(await answer.fingerprint());
        await sendAll(writer.begin());
      }
      if (value.event.type === "end") c.get("record").finishReason = value.event.finishReason;
      await sendAll(writer.write(value));
    }
    if (writer) await sendAll(await writer.end());
  };
  const settled = pump()
    .catch(async (error: unknown) => {
      const known = reportError(c, log, error);
      if (!(error instanceof ClientGoneError)) await sendAll(errorEvents(known));
    })
    .then(out.close)
    .catch(() => {})
    .then(async () => {
      signal.removeEventListener("abort", cutOff);
      clearTimeout(stuck);
      await events.return();
    });
  const headers = { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" };
  return { response: c.body(out.readable, 200, headers), settled };
}
