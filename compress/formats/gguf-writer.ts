// Writes GGUF files, version 3. (ggml, docs/gguf.md)
import { BLOCKS, type BlockType } from "../../scripts/build/gguf.ts";

/** GGUF's numbers for the types of metadata. */
const CODES = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8 } as const;
const ARRAY = 9;
type Scalar = keyof typeof CODES;
type Value = number | boolean | string;

/** `string[]` says that the value is an array of strings. */
export type MetadataEntry = readonly [key: string, type: Scalar | `${Scalar}[]`, value: Value | readonly Value[]];

export interface GgufOut {
  readonly name: string;
  readonly type: BlockType;
  readonly rows: number;
  readonly cols: number;
  /** Blocks row-major, q and k rows in GGUF's order. */
  bytes(): Promise<Uint8Array>;
}

const ALIGNMENT = 32;
const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
const sizeOf = ({ type, rows, cols }: GgufOut): number => (rows * cols * BLOCKS[type].bytes) / BLOCKS[type].values;

/** The file's bytes in order; a tensor is asked for its bytes when its turn comes. */
export async function* ggufChunks(
  metadata: readonly MetadataEntry[],
  tensors: readonly GgufOut[],
): AsyncGenerator<Uint8Array> {
  let end = 0;
  const table: Uint8Array[] = tensors.flatMap((tensor) => {
    const { name, type, rows, cols } = tensor;
    const dimensions = rows === 1 ? [cols] : [cols, rows];
    const place = [text(name), u32(dimensions.length), ...dimensions.map(u64), u32(BLOCKS[type].code), u64(end)];
    end = aligned(end + sizeOf(tensor));
    return place;
  });
  const header = Buffer.concat([
    ...[Buffer.from("GGUF"), u32(3), u64(tensors.length), u64(metadata.length)],
    ...metadata.flatMap(entry),
    ...table,
  ]);
  yield padded(header);
  for (const tensor of tensors) {
    const bytes = await tensor.bytes();
    if (bytes.length !== sizeOf(tensor)) {
      throw new RangeError(`${tensor.name} has ${bytes.length} bytes instead of ${sizeOf(tensor)}`);
    }
    yield padded(bytes);
  }
}

function entry([key, type, value]: MetadataEntry): Uint8Array[] {
  const scalar = type.replace("[]", "") as Scalar;
  if (!Array.isArray(value)) return [text(key), u32(CODES[scalar]), one(scalar, value as Value)];
  return [text(key), u32(ARRAY), u32(CODES[scalar]), u64(value.length), ...value.map((item) => one(scalar, item))];
}

function one(type: Scalar, value: Value): Uint8Array {
  if (type === "string") return text(value as string);
  if (type === "bool") return Uint8Array.of(value ? 1 : 0);
  const bytes = new Uint8Array(4);
  const view = new DataView(bytes.buffer);
  if (type === "f32") view.setFloat32(0, value as number, true);
  else if (type === "i32") view.setInt32(0, value as number, true);
  else view.setUint32(0, value as number, true);
  return bytes;
}

const u32 = (value: number): Uint8Array => one("u32", value);

function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}

function text(value: string): Uint8Array {
  const bytes = new TextEncoder().encode(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}

function padded(bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(aligned(bytes.length));
  whole.set(bytes);
  return whole;
}
