// A reply that is told whole. Until its first token nothing is sent, and a failure has a status of its own. From then on white space goes
// ahead of the JSON, which readers skip: only by a write that fails does the runtime tell that a client has left.
import type { Context } from "hono";
import { type ChoiceEvent, createReplyStream } from "../openai/index.ts";
import type { Answer, StreamedReply } from "../serving/serve.ts";
import type { Log } from "../telemetry/index.ts";
import type { AppEnv } from "./context.ts";
import { sendReply } from "./send.ts";

export interface WholeOptions {
  readonly log: Log;
  readonly answer: Answer;
  /** Takes what comes of the choices. */
  write(event: ChoiceEvent): void;
  /** The reply, once all has come. */
  end(fingerprint: string): object | Promise<object>;
  /** Sends nothing before the end, so that every failure has its status: for a caller that does not leave. Default: false. */
  readonly held?: boolean;
}

/** A compressor in between would hold white space back until there is more of it. */
const HEADERS = {
  "content-type": "application/json",
  "content-encoding": "identity",
  "cache-control": "no-transform",
};

/** @throws what the choices fail of before the first token */
export async function wholeReply(c: Context<AppEnv>, options: WholeOptions): Promise<Response | StreamedReply> {
  const { log, answer, end, held = false } = options;
  const { events } = answer;
  const take = (value: ChoiceEvent): void => {
    if (value.event.type === "end") c.get("record").finishReason = value.event.finishReason;
    options.write(value);
  };
  const hasBegun = ({ event }: ChoiceEvent): boolean =>
    !held && (event.type === "text" || event.type === "prompt" || answer.usage().completionTokens > 0);
  try {
    for (;;) {
      const next = await events.next();
      if (next.done) return c.json(await end(answer.fingerprint()));
      take(next.value);
      if (hasBegun(next.value)) break;
    }
  } catch (error) {
    await events.return();
    throw error;
  }
  const out = createReplyStream();
  const settled = sendReply(c, {
    ...{ log, answer, out },
    async write() {
      await out.write(" ");
      for await (const value of events) {
        take(value);
        await out.write(" ");
      }
      await out.write(JSON.stringify(await end(answer.fingerprint())));
    },
    // Of an answer that failed half-way nothing was told: it ends without JSON. workerd then ends the body in order, where another runtime
    // breaks the connection (docs/bounds.md has what was tried).
    fail: out.abort,
  });
  return { response: c.body(out.readable, 200, HEADERS), settled };
}
