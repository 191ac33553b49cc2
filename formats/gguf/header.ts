// Reads a GGUF file's header: its metadata, and where each tensor lies. (ggml, docs/gguf.md)
import { GGMLQuantizationType, type GGUFParseOutput, gguf } from "@huggingface/gguf";

/** A file that is read in pieces. */
export interface ByteSource {
  /** For messages. */
  readonly name: string;
  readonly size: number;
  /** Exactly these bytes, which the caller knows to be there. */
  read(start: number, length: number): Promise<Uint8Array>;
}

export interface BlockFormat {
  /** GGUF's number for it. */
  readonly code: number;
  /** Values and bytes of a block. */
  readonly values: number;
  readonly bytes: number;
}

/** GGUF's formats that are read, by the names that this project has for them. (ggml, src/ggml-common.h) */
export const BLOCKS = {
  f32: { code: GGMLQuantizationType.F32, values: 1, bytes: 4 },
  f16: { code: GGMLQuantizationType.F16, values: 1, bytes: 2 },
  bf16: { code: GGMLQuantizationType.BF16, values: 1, bytes: 2 },
  q8_0: { code: GGMLQuantizationType.Q8_0, values: 32, bytes: 34 },
  q4_0: { code: GGMLQuantizationType.Q4_0, values: 32, bytes: 18 },
  q4_1: { code: GGMLQuantizationType.Q4_1, values: 32, bytes: 20 },
  q4_k: { code: GGMLQuantizationType.Q4_K, values: 256, bytes: 144 },
  q6_k: { code: GGMLQuantizationType.Q6_K, values: 256, bytes: 210 },
} satisfies Record<string, BlockFormat>;
export type BlockType = keyof typeof BLOCKS;

export interface GgufTensor<Type extends BlockType> {
  readonly name: string;
  readonly type: Type;
  /** Output features; 1 for a vector. */
  readonly rows: number;
  readonly cols: number;
  /** Where its bytes lie in the file. */
  readonly start: number;
  readonly bytes: number;
}

export interface GgufHeader<Type extends BlockType> {
  readonly metadata: GGUFParseOutput["metadata"];
  readonly tensors: readonly GgufTensor<Type>[];
}

const DEFAULT_ALIGNMENT = 32;

/**
 * @param readable the formats that the caller can read
 * @throws Error that names the file, and the tensor that is of another format, of a shape that its blocks do not fill, cut off, there
 *   twice, or in a place that is not its own
 */
export async function readGguf<Type extends BlockType>(
  source: ByteSource,
  readable: readonly Type[],
): Promise<GgufHeader<Type>> {
  const rangeFetch: typeof fetch = async (_input, init) => {
    const range = /bytes=(\d+)-(\d+)/.exec(new Headers(init?.headers as HeadersInit).get("range") ?? "");
    const start = Math.min(Number(range?.[1] ?? 0), source.size);
    const end = Math.min(Number(range?.[2] ?? source.size) + 1, source.size);
    const slice = await source.read(start, end - start);
    return new Response(slice as BodyInit, { status: 206, headers: { "content-range": `bytes 0-0/${source.size}` } });
  };
  const header = await gguf(`https://models.invalid/${encodeURIComponent(source.name)}`, { fetch: rangeFetch }).catch(
    (error: Error) => {
      throw new Error(`${source.name} is not a whole GGUF file (${error.message}): download or copy it again`);
    },
  );
  const { metadata, tensorInfos, tensorInfoByteRange } = header;
  // By division: the library rounds by a mask, which is right for powers of two alone.
  const alignment = Number((metadata as Record<string, unknown>)["general.alignment"] ?? DEFAULT_ALIGNMENT);
  const dataStart = Math.ceil(tensorInfoByteRange[1] / alignment) * alignment;
  // What lies beyond a cut is read as zeros.
  if (dataStart > source.size || tensorInfos.some(({ name }) => name === "")) {
    throw new Error(`${source.name} is cut off within its header, at ${source.size} bytes: download or copy it again`);
  }
  // Beside its keys, the library puts three of the header's numbers into the metadata.
  if (Object.keys(metadata).length !== Number(metadata.kv_count) + 3) {
    throw new Error(`${source.name} has a key of its metadata twice`);
  }
  const formats = new Map(readable.map((type) => [BLOCKS[type].code as number, type]));
  const tensors = tensorInfos.map((info): GgufTensor<Type> => {
    const type = formats.get(info.dtype);
    if (!type) {
      const names = readable.map((name) => name.toUpperCase()).join(", ");
      throw new Error(
        `${source.name}: tensor ${info.name} is ${GGMLQuantizationType[info.dtype] ?? info.dtype}; ${names} are read: convert the file to one of these`,
      );
    }
    const [cols = 1, rows = 1, ...more] = info.shape.map(Number);
    const block = BLOCKS[type];
    if (more.length > 0 || cols % block.values !== 0) {
      throw new Error(`${source.name}: tensor ${info.name} of shape [${info.shape}] cannot be ${type.toUpperCase()}`);
    }
    const offset = Number(info.offset);
    if (offset % alignment !== 0) {
      throw new Error(
        `${source.name}: tensor ${info.name} begins at byte ${offset} of the data, which is no multiple of the file's alignment of ${alignment}`,
      );
    }
    const start = dataStart + offset;
    const bytes = (rows * cols * block.bytes) / block.values;
    if (start + bytes > source.size) {
      throw new Error(
        `${source.name}: tensor ${info.name} ends beyond the file, which is cut off at ${source.size} bytes: download or copy it again`,
      );
    }
    return { name: info.name, type, rows, cols, start, bytes };
  });
  checkPlaces(source.name, tensors);
  return { metadata, tensors };
}

/** @throws Error naming a tensor that is there twice, or two that have bytes in common */
function checkPlaces(file: string, tensors: readonly GgufTensor<BlockType>[]): void {
  const names = new Set<string>();
  for (const { name } of tensors) {
    if (names.has(name)) throw new Error(`${file} has tensor ${name} twice`);
    names.add(name);
  }
  const placed = [...tensors].sort((a, b) => a.start - b.start);
  for (const [i, { name, start }] of placed.entries()) {
    const before = placed[i - 1];
    if (before && before.start + before.bytes > start) {
      throw new Error(`${file}: tensors ${before.name} and ${name} overlap`);
    }
  }
}
