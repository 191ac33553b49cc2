// A reply as server-sent events, written as the choices' events come in.
import type { Context } from "hono";
import {
  type ApiError,
  type ChoiceEvent,
  commentText,
  createReplyStream,
  eventText,
  type ServerEvent,
  toEnvelope,
} from "../openai/index.ts";
import type { Answer, StreamedReply } from "../serving/serve.ts";
import type { Log } from "../telemetry/index.ts";
import type { AppEnv } from "./context.ts";
import { sendReply } from "./send.ts";

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
  const { events } = answer;
  const first = await events.next();
  const out = createReplyStream();
  const sendAll = async (all: readonly ServerEvent[]): Promise<void> => {
    for (const event of all) await out.write(eventText(event));
  };
  const settled = sendReply(c, {
    ...{ log, answer, out },
    async write() {
      let writer: ReplyWriter | undefined;
      for (let next = first; !next.done; next = await events.next()) {
        const { value } = next;
        if (value.event.type === "idle") {
          await out.write(commentText("waiting"));
          continue;
        }
        if (!writer) {
          writer = createWriter(answer.fingerprint());
          await sendAll(writer.begin());
        }
        if (value.event.type === "end") c.get("record").finishReason = value.event.finishReason;
        await sendAll(writer.write(value));
      }
      if (writer) await sendAll(await writer.end());
    },
    fail: (error) => sendAll(errorEvents(error)),
  });
  const headers = { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" };
  return { response: c.body(out.readable, 200, headers), settled };
}
