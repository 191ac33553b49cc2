// Streams built files into memory, checked against their digests as they come, and reads tensors out of the weight image.
import { createHash } from "node:crypto";
import type { BuiltFile, Tensor } from "../variants/index.ts";
import { EngineError } from "./types.ts";

/** Opens a built file: from static assets, an R2 bucket or a folder. Rejects or gives undefined when it is not there. */
export type OpenFile = (file: BuiltFile) => Promise<ReadableStream<Uint8Array> | undefined>;

export interface ReadOptions {
  readonly open: OpenFile;
  /** Called with the bytes read so far, of all parts. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

const READ_BYTES = 1 << 20;

/** Puts bytes where they belong: for a destination that may move while parts are read. */
export type Put = (chunk: Uint8Array, offset: number) => void;

/**
 * Reads parts one after another straight into place; nothing is held twice.
 * @param destination the image, as long as all parts together, or what puts bytes into it
 * @throws EngineError `damaged_weights` that names the part that is missing, short, long or altered
 */
export async function readParts(
  parts: readonly BuiltFile[],
  destination: Uint8Array | Put,
  { open, onProgress }: ReadOptions,
): Promise<void> {
  const put: Put = typeof destination === "function" ? destination : (chunk, at) => destination.set(chunk, at);
  let offset = 0;
  for (const part of parts) {
    const damaged = (problem: string) =>
      new EngineError(
        "damaged_weights",
        `weight part ${part.file} ${problem}: run \`npm run build\` and deploy dist/weights again`,
      );
    const stream = await open(part).catch(() => undefined);
    if (!stream) throw damaged("is missing");
    const hash = createHash("sha256");
    const end = offset + part.bytes;
    for await (const chunk of chunks(stream)) {
      if (offset + chunk.length > end) throw damaged(`has more than ${part.bytes} bytes`);
      put(chunk, offset);
      hash.update(chunk);
      offset += chunk.length;
      onProgress?.(offset);
    }
    if (offset !== end) throw damaged(`has ${offset - end + part.bytes} bytes instead of ${part.bytes}`);
    if (hash.digest("hex") !== part.sha256) throw damaged("does not have the sha256 that its name says");
  }
}

/** Chunks of a stream, by a BYOB reader of 1 MiB where the stream is a byte stream. */
async function* chunks(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  let reader: ReadableStreamBYOBReader;
  try {
    reader = stream.getReader({ mode: "byob" });
  } catch {
    yield* stream;
    return;
  }
  let buffer = new ArrayBuffer(READ_BYTES);
  for (;;) {
    const { value, done } = await reader.read(new Uint8Array(buffer));
    if (done || !value) return;
    yield value;
    buffer = value.buffer as ArrayBuffer;
  }
}

/** Half-precision bits to a number (IEEE 754 binary16). */
export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const BLOCK = 32;
/** Bytes of eight interleaved rows' scales, and of a block of them all, by type. */
const INTERLEAVED = { q4_1: { header: 32, bytes: 160 }, q8_0: { header: 16, bytes: 272 } } as const;

/**
 * A tensor's values as fp32, `[rows, cols]` row-major. Exact: the layout is the one that build/kernel-layout.ts describes.
 * @param image the weight image that `tensor.offset` counts in
 */
export function dequantize(tensor: Tensor, image: Uint8Array): Float32Array {
  const { rows, cols, offset, bytes, type } = tensor;
  const view = new DataView(image.buffer, image.byteOffset + offset, bytes);
  const values = new Float32Array(rows * cols);
  if (type === "f32") {
    for (let i = 0; i < values.length; i++) values[i] = view.getFloat32(i * 4, true);
    return values;
  }
  const { header, bytes: blockBytes } = INTERLEAVED[type];
  const blocks = cols / BLOCK;
  for (let row = 0; row < rows; row++) {
    const inGroup = row & 7;
    for (let block = 0; block < blocks; block++) {
      const at = ((row >> 3) * blocks + block) * blockBytes;
      const scale = fromHalf(view.getUint16(at + 2 * inGroup, true));
      const to = row * cols + block * BLOCK;
      if (type === "q8_0") {
        const from = at + header + 2 * inGroup;
        for (let col = 0; col < BLOCK; col++) {
          values[to + col] = scale * view.getInt8(from + (col >> 1) * 16 + (col & 1));
        }
      } else {
        const minimum = fromHalf(view.getUint16(at + 16 + 2 * inGroup, true));
        const from = at + header + (inGroup & 3) * 4;
        const shift = inGroup & 4;
        for (let col = 0; col < BLOCK; col++) {
          const pair = view.getUint8(from + (col >> 2) * 16 + (col & 3));
          values[to + col] = scale * ((pair >> shift) & 15) + minimum;
        }
      }
    }
  }
  return values;
}
