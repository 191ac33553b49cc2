// Writes a safetensors file: the length of a JSON header, the header, then the values. (huggingface/safetensors, README: "Format")

/** fp32, row-major. */
export interface NamedValues {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

const ALIGNMENT = 8;

/** The same tensors in the same order give the same bytes. */
export function writeSafetensors(tensors: readonly NamedValues[]): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let end = 0;
  for (const { name, shape, values } of tensors) {
    header[name] = { dtype: "F32", shape, data_offsets: [end, end + values.byteLength] };
    end += values.byteLength;
  }
  const text = Buffer.from(JSON.stringify(header));
  const headerBytes = Math.ceil(text.length / ALIGNMENT) * ALIGNMENT;
  const file = Buffer.alloc(8 + headerBytes + end, " ");
  file.writeBigUInt64LE(BigInt(headerBytes), 0);
  file.set(text, 8);
  let at = 8 + headerBytes;
  for (const { values } of tensors) {
    file.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at);
    at += values.byteLength;
  }
  return file;
}
