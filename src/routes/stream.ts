// A reply as server-sent events, written as the choices' events come in.
import type { Context } from "hono";
import { type ApiError, commentText, eventText, type ServerEvent, toEnvelope } from "../openai/index.ts";
import type { ChoiceEvent, GenerationRun } from "../serving/index.ts";
import type { Log } from "../telemetry/index.ts";
import type { AppEnv } from "./context.ts";
import { createReplyStream } from "./reply-stream.ts";
import { sendReply } from "./send.ts";

/** Turns what comes of the choices into the events of one reply. */
export interface ReplyWriter {
  /** The events for the reply's beginning. */
  begin(): readonly ServerEvent[];
  write(event: ChoiceEvent): readonly ServerEvent[];
  /** The last events of a reply that is complete. */
  end(): readonly ServerEvent[] | Promise<readonly ServerEvent[]>;
  /** What a client is told of an error in mid-stream. Default: `Error` without a name. */
  fail?(error: ApiError): readonly ServerEvent[];
}

export interface StreamOptions {
  readonly log: Log;
  readonly run: GenerationRun;
  readonly writer: ReplyWriter;
}

/** Waits for a sign of life first: until then, a failure still gets its own status. */
export async function streamReply(c: Context<AppEnv>, { log, run, writer }: StreamOptions): Promise<Response> {
  const { events } = run;
  const first = await events.next();
  const out = createReplyStream();
  const sendAll = async (all: readonly ServerEvent[]): Promise<void> => {
    for (const event of all) await out.write(eventText(event));
  };
  sendReply(c, {
    log,
    run,
    out,
    async write() {
      let begun = false;
      for (let next = first; !next.done; next = await events.next()) {
        const { value } = next;
        if (value.event.type === "idle") {
          await out.write(commentText("waiting"));
          continue;
        }
        if (!begun) await sendAll(writer.begin());
        begun = true;
        await sendAll(writer.write(value));
      }
      if (begun) await sendAll(await writer.end());
    },
    fail: (error) => sendAll(writer.fail?.(error) ?? [{ data: toEnvelope(error) }]),
  });
  const headers = { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" };
  return c.body(out.readable, 200, headers);
}
