// Writes a safetensors file: the length of a JSON header, the header, then the values. (huggingface/safetensors, README: "Format")

/** fp32, row-major. */
export interface NamedValues {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

const ALIGNMENT = 8;

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
