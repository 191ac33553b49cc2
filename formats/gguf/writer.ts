// Writes GGUF files, version 3. (ggml, docs/gguf.md)
import { BLOCKS, type BlockType } from "./header.ts";

type Value = number | boolean | string;

const u32 = (value: number): Uint8Array => fixed(4, (view) => view.setUint32(0, value, true));
const u64 = (value: number): Uint8Array => fixed(8, (view) => view.setBigUint64(0, BigInt(value), true));

/** GGUF's numbers for the types of metadata, and how a value of each is written. */
const TYPES = {
  u32: { code: 4, encode: u32 },
  i32: { code: 5, encode: (value: number) => fixed(4, (view) => view.setInt32(0, value, true)) },
  f32: { code: 6, encode: (value: number) => fixed(4, (view) => view.setFloat32(0, value, true)) },
  bool: { code: 7, encode: (value: boolean) => Uint8Array.of(value ? 1 : 0) },
  string: { code: 8, encode: text },
} as const;
const ARRAY = 9;
type Scalar = keyof typeof TYPES;

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

/** Where the metadata has no `general.alignment`. */
const ALIGNMENT = 32;
const sizeOf = ({ type, rows, cols }: GgufOut): number => (rows * cols * BLOCKS[type].bytes) / BLOCKS[type].values;

/** The file's bytes in order; a tensor is asked for its bytes when its turn comes. */
export async function* ggufChunks(
  metadata: readonly MetadataEntry[],
  tensors: readonly GgufOut[],
): AsyncGenerator<Uint8Array> {
  const alignment = Number(metadata.find(([key]) => key === "general.alignment")?.[2] ?? ALIGNMENT);
  const aligned = (bytes: number): number => Math.ceil(bytes / alignment) * alignment;
  const padded = (bytes: Uint8Array): Uint8Array => {
    const whole = new Uint8Array(aligned(bytes.length));
    whole.set(bytes);
    return whole;
  };
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

/**
 * The type is looked up once for all of an array: Node 20's V8, while it optimizes, can take a type's computed name for another in a
 * comparison within the loop, and writes a number where a string belongs.
 */
function entry([key, type, value]: MetadataEntry): Uint8Array[] {
  const { code, encode } = TYPES[type.replace("[]", "") as Scalar];
  const one = encode as (value: Value) => Uint8Array;
  if (!Array.isArray(value)) return [text(key), u32(code), one(value as Value)];
  return [text(key), u32(ARRAY), u32(code), u64(value.length), ...value.map((item) => one(item))];
}

function fixed(bytes: number, set: (view: DataView) => void): Uint8Array {
  const view = new DataView(new ArrayBuffer(bytes));
  set(view);
  return new Uint8Array(view.buffer);
}

function text(value: string): Uint8Array {
  const bytes = new TextEncoder().encode(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}
