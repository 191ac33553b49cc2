// What every reply to a hostile request must be, whoever sent it.
import { errorEnvelopeSchema } from "../../src/openai/index.ts";
import type { HostileRequest } from "./hostile.ts";

/** What is wrong with a reply; undefined when nothing is. Reads it to its end. */
export async function faultOf(request: HostileRequest, response: Response): Promise<string | undefined> {
  const { status, headers } = response;
  const text = await response.text();
  const fault = (what: string): string =>
    `${what}: ${request.method} ${request.path.slice(0, 200)} ${JSON.stringify(request.headers).slice(0, 300)} ${new TextDecoder()
      .decode(request.body)
      .slice(0, 600)} -> ${status} ${text.slice(0, 300)}`;
  if (!(status >= 200 && status < 300) && !(status >= 400 && status < 500)) return fault("neither 2xx nor 4xx");
  if (!headers.get("x-request-id")) return fault("no request id");
  if (status < 300) {
    const isStream = headers.get("content-type")?.startsWith("text/event-stream");
    const ended = /(data: \[DONE\]|event: response\.(completed|incomplete|failed)\ndata: .*)\n\n$/.test(text);
    return isStream && !ended ? fault("a stream without its end") : undefined;
  }
  if (request.method === "HEAD") return undefined;
  try {
    errorEnvelopeSchema.strict().parse(JSON.parse(text));
  } catch {
    return fault("not an error envelope");
  }
  return undefined;
}
