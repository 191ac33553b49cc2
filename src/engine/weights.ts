// Streams built files into memory, checked against their digests as they come, and reads tensors out of the weight image.
import { createHash } from "node:crypto";
import type { BuiltFile, Tensor } from "../variants/base.ts";
import { EngineError } from "./types.ts";

/** Opens a built file: from static assets, an R2 bucket or a folder. Rejects or gives undefined when it is not there. */
export type OpenFile = (file: BuiltFile) => Promise<ReadableStream<Uint8Array> | undefined>;

export interface ReadOptions {
  readonly open: OpenFile;
  /** Called with the bytes read so far, of all parts. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

const READ_BYTES = 1 << 20;

/**
 * Reads parts one after another straight into place; nothing is held twice.
 * @param destination the image, as long as all parts together
 * @throws EngineError `damaged_weights` that names the part that is missing, short, long or altered
 */
export async function readParts(
  parts: readonly BuiltFile[],
  destination: Uint8Array,
  { open, onProgress }: ReadOptions,
): Promise<void> {
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
      destination.set(chunk, offset);
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

/**
 * A tensor's values as fp32, `[rows, cols]` row-major.
 * @param image the weight image that `tensor.offset` counts in
 */
export function dequantize(tensor: Tensor, image: Uint8Array): Float32Array {
  const { rows, cols, offset, bytes, type } = tensor;
  const view = new DataView(image.buffer, image.byteOffset + offset, bytes);
  const values = new Float32Array(rows * cols);
  const blocks = values.length / 32;
  if (type === "f32") {
    for (let i = 0; i < values.length; i++) values[i] = view.getFloat32(i * 4, true);
  } else if (type === "q8_0") {
    for (let block = 0; block < blocks; block++) {
      const at = block * 34;
      const scale = fromHalf(view.getUint16(at, true));
      for (let i = 0; i < 32; i++) values[block * 32 + i] = scale * view.getInt8(at + 2 + i);
    }
  } else {
    for (let block = 0; block < blocks; block++) {
      const at = block * 20;
      const scale = fromHalf(view.getUint16(at, true));
      const minimum = fromHalf(view.getUint16(at + 2, true));
      for (let i = 0; i < 16; i++) {
        const pair = view.getUint8(at + 4 + i);
        values[block * 32 + i] = scale * (pair & 15) + minimum;
        values[block * 32 + 16 + i] = scale * (pair >> 4) + minimum;
      }
    }
  }
  return values;
}
