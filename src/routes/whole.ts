// A reply that is told whole. Until its first token nothing is sent, and a failure has a status of its own. From then on
// white space goes ahead of the JSON, which readers skip: only by a write that fails does the runtime tell that a client
// has left.
import type { Context } from "hono";
import type { ChoiceEvent, GenerationRun } from "../serving/index.ts";
import type { Log } from "../telemetry/index.ts";
import type { AppEnv } from "./context.ts";
import { createReplyStream } from "./reply-stream.ts";
import { sendReply } from "./send.ts";

export interface WholeOptions {
  readonly log: Log;
  readonly run: GenerationRun;
  /** Takes what comes of the choices. */
  write(event: ChoiceEvent): void;
  /** The reply, once all has come. */
  end(): object | Promise<object>;
}

/** A compressor in between would hold white space back until there is more of it. */
const HEADERS = {
  "content-type": "application/json",
  "content-encoding": "identity",
  "cache-control": "no-transform",
};

/** @throws what the choices fail of before the first token */
export async function wholeReply(c: Context<AppEnv>, options: WholeOptions): Promise<Response> {
  const { log, run, write, end } = options;
  const { events } = run;
  const hasBegun = ({ event }: ChoiceEvent): boolean =>
    event.type === "text" || event.type === "prompt" || run.usage().completionTokens > 0;
  try {
    for (let begun = false; !begun; ) {
      const next = await events.next();
      if (next.done) return c.json(await end());
      write(next.value);
      begun = hasBegun(next.value);
    }
  } catch (error) {
    await run.leave(error);
    throw error;
  }
  const out = createReplyStream();
  sendReply(c, {
    log,
    run,
    out,
    async write() {
      await out.write(" ");
      for await (const value of events) {
        write(value);
        await out.write(" ");
      }
      await out.write(JSON.stringify(await end()));
    },
    // Of an answer that failed half-way nothing was told: it ends without JSON. workerd then ends the body in order, where another runtime
    // breaks the connection (docs/bounds.md has what was tried).
    fail: out.abort,
  });
  return c.body(out.readable, 200, HEADERS);
}
