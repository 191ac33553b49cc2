// Reads a JSON body from a stranger: bounded in time, in bytes, in nesting and in number of values before any of it becomes an object.
import { gunzipSync, inflateSync } from "node:zlib";
import { ApiError, parseBody } from "../openai/index.ts";
import { ClientGoneError } from "../serving/index.ts";
import { turn } from "../work.ts";

export const MAX_BODY_BYTES = 4 * 1024 * 1024;
/** A body that is too large is read on, and thrown away, up to here: a client that is still sending would not see the reply. */
const MAX_DRAINED_BYTES = 8 * MAX_BODY_BYTES;
/** A body has to be there this long after it was begun to be read. */
const BODY_DEADLINE_MS = 30_000;
/** A body that no reply depends on is waited for this long. */
const DRAIN_DEADLINE_MS = 2_000;
const MAX_DEPTH = 64;
/** 4 MiB of empty arrays would be 100 MB of objects; a full context of one-token messages is some 60,000 values. */
const MAX_VALUES = 200_000;
/** Objects take longest: a name and a value each. */
const MAX_MEMBERS = 70_000;
const MAX_DIGITS = 1000;
/** Larger bodies are read one after the other, with turns of the event loop in between. */
const LARGE_BYTES = 64 * 1024;

/**
 * @param deadlineMs Default: half a minute
 * @throws ApiError `unsupported_media_type`, `request_too_large`, `request_timeout` or `invalid_json`; ClientGoneError for a body that
 *   breaks off
 */
export async function readJson(request: Request, deadlineMs = BODY_DEADLINE_MS): Promise<unknown> {
  const contentType = request.headers.get("content-type") ?? "";
  if (!/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(contentType.trim())) {
    throw new ApiError(
      "unsupported_media_type",
      "Unsupported content type. This API method only accepts 'application/json' requests; set the header 'Content-Type: application/json'.",
    );
  }
  const decompress = decompressionOf(request);
  const sent = await readBytes(request, deadlineMs);
  if (sent.length > LARGE_BYTES) await turn();
  const bytes = decompress(sent);
  checkStructure(bytes);
  const isLarge = bytes.length > LARGE_BYTES;
  if (isLarge) await turn();
  try {
    return await parseBody(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes));
  } catch {
    throw new ApiError(
      "invalid_json",
      "We could not parse the JSON body of your request: it is not valid JSON in UTF-8. The API expects a JSON payload.",
    );
  } finally {
    if (isLarge) await turn();
  }
}

/**
 * Reads what nobody has read of a body, and throws it away. The runtime closes a connection whose request was not read to its end without
 * telling the client, which then loses its next request. Gives up on what is large or slow.
 */
export async function drainBody(request: Request, deadlineMs = DRAIN_DEADLINE_MS): Promise<void> {
  if (!request.body || request.bodyUsed || announcedBytes(request) > MAX_BODY_BYTES) return;
  await readChunks(request.body, { deadlineMs, mostBytes: MAX_BODY_BYTES }).catch(() => {});
}

const tooLarge = (): ApiError =>
  new ApiError("request_too_large", `The request body is larger than the maximum of ${MAX_BODY_BYTES} bytes.`);

type Decompress = (bytes: Uint8Array) => Uint8Array;
const DECOMPRESSION: Readonly<Record<string, Decompress>> = {
  identity: (bytes) => bytes,
  gzip: (bytes) => gunzipSync(bytes, { maxOutputLength: MAX_BODY_BYTES }),
  deflate: (bytes) => inflateSync(bytes, { maxOutputLength: MAX_BODY_BYTES }),
};

/** @throws ApiError `unsupported_media_type`; what is given throws `request_too_large` or `invalid_json` */
function decompressionOf(request: Request): Decompress {
  const encoding = (request.headers.get("content-encoding") ?? "").trim().toLowerCase() || "identity";
  const decompress = Object.hasOwn(DECOMPRESSION, encoding) ? DECOMPRESSION[encoding] : undefined;
  if (!decompress) {
    const known = Object.keys(DECOMPRESSION).join(", ");
    throw new ApiError(
      "unsupported_media_type",
      `Unsupported content encoding. Request bodies may be compressed as one of: ${known}.`,
    );
  }
  return (bytes) => {
    try {
      return decompress(bytes);
    } catch (error) {
      if (isBeyondLimit(error as NodeJS.ErrnoException)) throw tooLarge();
      throw new ApiError("invalid_json", `We could not read the body of your request: it is not valid ${encoding}.`);
    }
  };
}

/** Node has a code for it, workerd only a message. */
const isBeyondLimit = ({ code, message }: NodeJS.ErrnoException): boolean =>
  code === "ERR_BUFFER_TOO_LARGE" || /memory limit/i.test(message);

const announcedBytes = (request: Request): number => Number(request.headers.get("content-length"));

async function readBytes(request: Request, deadlineMs: number): Promise<Uint8Array> {
  const announced = announcedBytes(request);
  if (!request.body) return new Uint8Array();
  if (announced > MAX_DRAINED_BYTES) throw tooLarge();
  const { chunks, length } = await readChunks(request.body, { deadlineMs, mostBytes: MAX_DRAINED_BYTES });
  if (length > MAX_BODY_BYTES) throw tooLarge();
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}

interface Bounds {
  readonly deadlineMs: number;
  /** Reading ends beyond these. */
  readonly mostBytes: number;
}

/** Reads on beyond `MAX_BODY_BYTES`, and keeps nothing then. */
async function readChunks(body: ReadableStream<Uint8Array>, { deadlineMs, mostBytes }: Bounds) {
  const reader = body.getReader();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const message = `The request body was not there within ${deadlineMs} ms.`;
    timer = setTimeout(() => reject(new ApiError("request_timeout", message)), deadlineMs);
  });
  const gone = (cause: unknown): never => {
    throw new ClientGoneError("the body broke off", { cause });
  };
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    while (length <= mostBytes) {
      const chunk = await Promise.race([reader.read().catch(gone), late]);
      if (chunk.done) break;
      length += chunk.value.length;
      if (length <= MAX_BODY_BYTES) chunks.push(chunk.value);
      else chunks.length = 0;
    }
  } finally {
    clearTimeout(timer);
    // What was read to its end has nothing left to cancel.
    reader.cancel().catch(() => {});
  }
  return { chunks, length };
}

const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a];
const OPENING = new Set([0x5b, 0x7b]);
const CLOSING = new Set([0x5d, 0x7d]);
const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;

const tooMuch = (what: string): ApiError =>
  new ApiError("invalid_json", `We could not parse the JSON body of your request: it ${what}.`);

/** Counts brackets, commas, colons and digits outside of strings. Says nothing about whether the bytes are JSON. */
function checkStructure(bytes: Uint8Array): void {
  let depth = 0;
  let values = 0;
  let members = 0;
  let digits = 0;
  let inString = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] as number;
    if (inString) {
      if (byte === BACKSLASH) i++;
      else if (byte === QUOTE) inString = false;
      continue;
    }
    digits = isDigit(byte) ? digits + 1 : 0;
    if (digits > MAX_DIGITS) throw tooMuch(`has a number of over ${MAX_DIGITS} digits`);
    if (byte === QUOTE) inString = true;
    else if (byte === COLON) {
      if (++members > MAX_MEMBERS) throw tooMuch(`has over ${MAX_MEMBERS} members of objects`);
    } else if (byte === COMMA || OPENING.has(byte)) {
      if (++values > MAX_VALUES) throw tooMuch(`has over ${MAX_VALUES} values`);
      if (byte !== COMMA && ++depth > MAX_DEPTH) throw tooMuch(`is nested deeper than ${MAX_DEPTH} levels`);
    } else if (CLOSING.has(byte)) depth--;
  }
}
