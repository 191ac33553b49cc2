// Safetensors files, read and written: a length, a JSON header, then the values. (huggingface/safetensors, README: "Format")
import { z } from "zod";
import { fromBfloat, fromHalf } from "./half.ts";

const tensorSchema = z.object({
  dtype: z.string(),
  shape: z.array(z.int().nonnegative()),
  data_offsets: z.tuple([z.int().nonnegative(), z.int().nonnegative()]),
});

export interface NamedTensor {
  readonly shape: readonly number[];
  /** Row-major. */
  readonly values: Float32Array;
}

/** How to read a value, by the dtypes of numbers. */
const DTYPES: Record<string, { read(view: DataView, at: number): number }> = {
  F32: { read: (view, at) => view.getFloat32(at, true) },
  F16: { read: (view, at) => fromHalf(view.getUint16(at, true)) },
  BF16: { read: (view, at) => fromBfloat(view.getUint16(at, true)) },
};

/** Bytes of a value by dtype; U8 holds what is no number. */
const BYTES: Readonly<Record<string, number>> = { F32: 4, F16: 2, BF16: 2, U8: 1 };

/** Where a tensor lies, counted from the first byte after the header. */
export interface Place {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly start: number;
  readonly bytes: number;
}

/** The format's own limit. What says more is another kind of file. */
const MOST_HEADER_BYTES = 100_000_000;
const cutOff = (size: number): string => `cut off at ${size} bytes: download or copy it again`;

/**
 * Bytes of the header: a file's first eight say so.
 * @throws Error for a file that is cut off within it, or is none of safetensors
 */
export function headerBytes(start: Uint8Array, fileBytes: number): number {
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const bytes = start.length >= 8 ? Number(view.getBigUint64(0, true)) : 0;
  if (start.length >= 8 && (bytes < 2 || bytes > MOST_HEADER_BYTES)) {
    throw new Error("it does not begin with a safetensors header");
  }
  if (8 + bytes > fileBytes) throw new Error(`its header ends beyond the file, which is ${cutOff(fileBytes)}`);
  return bytes;
}

/**
 * @param dataBytes bytes after the header
 * @param dtypes what the caller reads. Default: numbers
 * @throws Error that names the tensor whose type, shape or place is not what the format allows: each name comes once, and the tensors
 *   lie one after another
 */
export function readPlaces(
  headerText: Uint8Array,
  dataBytes: number,
  dtypes: readonly string[] = Object.keys(DTYPES),
): Place[] {
  const text = new TextDecoder().decode(headerText);
  const header: Record<string, unknown> = JSON.parse(text);
  const twice = repeatedKey(text);
  if (twice !== undefined) throw new Error(`tensor ${twice} is in its header twice`);
  const places = Object.entries(header).flatMap(([name, entry]): Place[] => {
    if (name === "__metadata__") return [];
    const parsed = tensorSchema.safeParse(entry);
    if (!parsed.success) throw new Error(`tensor ${name} has no dtype, shape and data_offsets`);
    const { dtype, shape, data_offsets } = parsed.data;
    const valueBytes = BYTES[dtype];
    if (!valueBytes || !dtypes.includes(dtype)) {
      throw new Error(`tensor ${name} is ${dtype}; ${dtypes.join(", ")} are read`);
    }
    const count = shape.reduce((product, size) => product * size, 1);
    const [from, to] = data_offsets;
    if (to - from !== count * valueBytes) {
      throw new Error(`tensor ${name} of shape [${shape}] does not fill bytes ${from} to ${to}`);
    }
    if (to > dataBytes) {
      throw new Error(`tensor ${name} ends beyond the file, which is ${cutOff(8 + headerText.length + dataBytes)}`);
    }
    return [{ name, dtype, shape, start: from, bytes: to - from }];
  });
  let end = 0;
  for (const { name, start, bytes } of [...places].sort((a, b) => a.start - b.start || a.bytes - b.bytes)) {
    if (start !== end) {
      throw new Error(`tensor ${name} begins at byte ${start}, but the tensor before it ends at ${end}`);
    }
    end = start + bytes;
  }
  if (end !== dataBytes) throw new Error(`${dataBytes - end} bytes after its last tensor are none's`);
  return places;
}

/** The first key that a JSON object has twice: JSON.parse keeps the last without a word. */
function repeatedKey(text: string): string | undefined {
  const keys = new Set<string>();
  let depth = 0;
  for (const [token, string, colon] of text.matchAll(/("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|[{}[\]]/g)) {
    if (token === "{" || token === "[") depth++;
    else if (token === "}" || token === "]") depth--;
    else if (string && colon && depth === 1) {
      const key: string = JSON.parse(string);
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return undefined;
}

/** @throws Error that names the tensor whose type, shape or place is not what the format allows */
export function readSafetensors(file: Uint8Array): Map<string, NamedTensor> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const data = 8 + headerBytes(file.subarray(0, 8), file.length);
  const tensors = new Map<string, NamedTensor>();
  for (const { name, dtype, shape, start, bytes } of readPlaces(file.subarray(8, data), file.length - data)) {
    const type = DTYPES[dtype] as (typeof DTYPES)[string];
    const valueBytes = BYTES[dtype] as number;
    const values = new Float32Array(bytes / valueBytes);
    for (let i = 0; i < values.length; i++) values[i] = type.read(view, data + start + i * valueBytes);
    tensors.set(name, { shape, values });
  }
  return tensors;
}

/** fp32, row-major. */
export interface NamedValues {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

const ALIGNMENT = 8;

/** What a header says of a tensor. */
export interface TensorEntry {
  readonly name: string;
  /** As safetensors has them: F32, F16, BF16. */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
}

/** What comes before the values of these tensors, which follow in the same order. */
export function safetensorsHeader(tensors: readonly TensorEntry[]): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let end = 0;
  for (const { name, dtype, shape, bytes } of tensors) {
    header[name] = { dtype, shape, data_offsets: [end, end + bytes] };
    end += bytes;
  }
  const text = Buffer.from(JSON.stringify(header));
  const headerBytes = Math.ceil(text.length / ALIGNMENT) * ALIGNMENT;
  const file = Buffer.alloc(8 + headerBytes, " ");
  file.writeBigUInt64LE(BigInt(headerBytes), 0);
  file.set(text, 8);
  return file;
}

/** The same tensors in the same order give the same bytes. */
export function writeSafetensors(tensors: readonly NamedValues[]): Uint8Array {
  const header = safetensorsHeader(
    tensors.map(({ name, shape, values }) => ({ name, dtype: "F32", shape, bytes: values.byteLength })),
  );
  const data = tensors.map(({ values }) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  return Buffer.concat([header, ...data]);
}
