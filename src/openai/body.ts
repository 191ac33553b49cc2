// Reads a JSON body from a stranger: bounded in bytes, in nesting and in number of values before any of it becomes an object.
import { ApiError } from "./errors.ts";
import { parseWithSeed } from "./seed.ts";

export const MAX_BODY_BYTES = 4 * 1024 * 1024;
/** A body that is too large is read on, and thrown away, up to here: a client that is still sending would not see the reply. */
const MAX_DRAINED_BYTES = 8 * MAX_BODY_BYTES;
const MAX_DEPTH = 64;
/** 4 MiB of empty arrays would be 100 MB of objects; a full context of one-token messages is some 60,000 values. */
const MAX_VALUES = 200_000;

/** @throws ApiError `unsupported_media_type`, `request_too_large` or `invalid_json` */
export async function readJson(request: Request): Promise<unknown> {
  const contentType = request.headers.get("content-type") ?? "";
  if (!/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(contentType.trim())) {
    throw new ApiError(
      "unsupported_media_type",
      "Unsupported content type. This API method only accepts 'application/json' requests; set the header 'Content-Type: application/json'.",
    );
  }
  const bytes = await readBytes(request);
  checkStructure(bytes);
  try {
    return parseWithSeed(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes));
  } catch {
    throw new ApiError(
      "invalid_json",
      "We could not parse the JSON body of your request: it is not valid JSON in UTF-8. The API expects a JSON payload.",
    );
  }
}

async function readBytes(request: Request): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const announced = Number(request.headers.get("content-length"));
  if (request.body && announced <= MAX_DRAINED_BYTES) {
    const reader: ReadableStreamDefaultReader<Uint8Array> = request.body.getReader();
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      length += chunk.value.length;
      if (length <= MAX_BODY_BYTES) chunks.push(chunk.value);
      else chunks.length = 0;
      if (length > MAX_DRAINED_BYTES) {
        await reader.cancel().catch(() => {});
        break;
      }
    }
  }
  if (Math.max(length, announced) > MAX_BODY_BYTES) {
    throw new ApiError("request_too_large", `The request body is larger than the maximum of ${MAX_BODY_BYTES} bytes.`);
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const OPENING = new Set([0x5b, 0x7b]);
const CLOSING = new Set([0x5d, 0x7d]);

/** Counts brackets and commas outside of strings. Says nothing about whether the bytes are JSON. */
function checkStructure(bytes: Uint8Array): void {
  let depth = 0;
  let values = 0;
  let inString = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] as number;
    if (inString) {
      if (byte === BACKSLASH) i++;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) {
      inString = true;
    } else if (byte === COMMA || OPENING.has(byte)) {
      values++;
      if (byte !== COMMA) depth++;
      if (depth > MAX_DEPTH || values > MAX_VALUES) {
        const limit = depth > MAX_DEPTH ? `is nested deeper than ${MAX_DEPTH} levels` : `has over ${MAX_VALUES} values`;
        throw new ApiError("invalid_json", `We could not parse the JSON body of your request: it ${limit}.`);
      }
    } else if (CLOSING.has(byte)) {
      depth--;
    }
  }
}
