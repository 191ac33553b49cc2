// Reads tensors out of a safetensors file: a length, a JSON header, then the values. (huggingface/safetensors, README: "Format")
import { z } from "zod";
import { fromHalf } from "../../src/engine/weights.ts";

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

const bfloat = Float32Array.of(0);
const bfloatBits = new Uint32Array(bfloat.buffer);

/** Bytes of a value and how to read it, by the dtypes that adapters come in. */
const DTYPES: Record<string, { bytes: number; read(view: DataView, at: number): number }> = {
  F32: { bytes: 4, read: (view, at) => view.getFloat32(at, true) },
  F16: { bytes: 2, read: (view, at) => fromHalf(view.getUint16(at, true)) },
  BF16: {
    bytes: 2,
    read: (view, at) => {
      bfloatBits[0] = view.getUint16(at, true) << 16;
      return bfloat[0] as number;
    },
  },
};

/** @throws Error that names the tensor whose type, shape or place is not what the format allows */
export function readSafetensors(file: Uint8Array): Map<string, NamedTensor> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const headerBytes = file.length >= 8 ? Number(view.getBigUint64(0, true)) : -1;
  const start = 8 + headerBytes;
  if (headerBytes < 2 || start > file.length) throw new Error("it does not begin with a safetensors header");
  const header: Record<string, unknown> = JSON.parse(new TextDecoder().decode(file.subarray(8, start)));
  const tensors = new Map<string, NamedTensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const { dtype, shape, data_offsets } = tensorSchema.parse(entry);
    const type = DTYPES[dtype];
    if (!type) throw new Error(`tensor ${name} is ${dtype}; ${Object.keys(DTYPES).join(", ")} are read`);
    const count = shape.reduce((product, size) => product * size, 1);
    const [from, to] = data_offsets;
    if (to - from !== count * type.bytes || start + to > file.length) {
      throw new Error(`tensor ${name} of shape [${shape}] does not fill bytes ${from} to ${to}`);
    }
    const values = new Float32Array(count);
    for (let i = 0; i < count; i++) values[i] = type.read(view, start + from + i * type.bytes);
    tensors.set(name, { shape, values });
  }
  return tensors;
}
