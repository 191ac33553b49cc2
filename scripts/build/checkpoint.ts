// Reads a base checkpoint: its parts, checked against the manifest, and through them the GGUF's metadata and tensors.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { GGMLQuantizationType, type GGUFParseOutput, gguf } from "@huggingface/gguf";
import { z } from "zod";
import { modelsDir } from "./paths.ts";

const digestSchema = z.string().regex(/^[0-9a-f]{64}$/);
const manifestSchema = z.strictObject({
  id: z.string(),
  file: z.string(),
  bytes: z.int().positive(),
  sha256: digestSchema,
  created: z.int(),
  origin: z.string(),
  license: z.string(),
  licenseFile: z.string(),
  parts: z.array(z.strictObject({ file: z.string(), bytes: z.int().positive(), sha256: digestSchema })).min(1),
});
export type CheckpointManifest = z.infer<typeof manifestSchema>;

export interface CheckpointTensor {
  readonly name: string;
  readonly type: "f32" | "q4_1" | "q8_0";
  readonly rows: number;
  readonly cols: number;
  /** The tensor's bytes as they stand in the file. */
  readonly data: Uint8Array;
}

export interface Checkpoint {
  readonly manifest: CheckpointManifest;
  readonly metadata: GGUFParseOutput["metadata"];
  readonly tensors: readonly CheckpointTensor[];
}

/** GGUF's block formats that the engines read: values and bytes of a block. */
const TYPES = new Map<number, { type: CheckpointTensor["type"]; blockValues: number; blockBytes: number }>([
  [GGMLQuantizationType.F32, { type: "f32", blockValues: 1, blockBytes: 4 }],
  [GGMLQuantizationType.Q4_1, { type: "q4_1", blockValues: 32, blockBytes: 20 }],
  [GGMLQuantizationType.Q8_0, { type: "q8_0", blockValues: 32, blockBytes: 34 }],
]);

export const sha256 = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");

/**
 * @param id folder under models/
 * @throws Error that names the part that is missing or damaged, or the tensor that has a type no engine reads
 */
export async function readCheckpoint(id: string, dir = join(modelsDir, id)): Promise<Checkpoint> {
  const mend = `Get it back with: git checkout -- models/${id}`;
  const text = await readFile(join(dir, "manifest.json"), "utf8").catch(() => {
    throw new Error(`base ${id}: models/${id}/manifest.json is missing`);
  });
  const manifest = manifestSchema.parse(JSON.parse(text));
  const parts: Uint8Array[] = [];
  for (const part of manifest.parts) {
    const bytes = await readFile(join(dir, part.file)).catch(() => undefined);
    if (!bytes) throw new Error(`models/${id}/${part.file} is missing. ${mend}`);
    const problem =
      bytes.length !== part.bytes
        ? `has ${bytes.length} bytes instead of ${part.bytes}`
        : sha256(bytes) !== part.sha256
          ? "does not have the sha256 that manifest.json names"
          : undefined;
    if (problem) throw new Error(`models/${id}/${part.file} is damaged: it ${problem}. ${mend}`);
    parts.push(bytes);
  }
  const file = Buffer.concat(parts);
  if (sha256(file) !== manifest.sha256) {
    throw new Error(`models/${id}: the parts are whole, but together they are not ${manifest.file}. ${mend}`);
  }

  const rangeFetch: typeof fetch = async (_input, init) => {
    const range = /bytes=(\d+)-(\d+)/.exec(new Headers(init?.headers as HeadersInit).get("range") ?? "");
    const slice = file.subarray(Number(range?.[1] ?? 0), Number(range?.[2] ?? file.length) + 1);
    return new Response(slice, { status: 206, headers: { "content-range": `bytes 0-0/${file.length}` } });
  };
  const { metadata, tensorInfos, tensorDataOffset } = await gguf(`https://models.invalid/${manifest.file}`, {
    fetch: rangeFetch,
  });
  const tensors = tensorInfos.map((info): CheckpointTensor => {
    const format = TYPES.get(info.dtype);
    if (!format) {
      const names = [...TYPES.values()].map((t) => t.type.toUpperCase()).join(", ");
      throw new Error(
        `${manifest.file}: tensor ${info.name} is ${GGMLQuantizationType[info.dtype] ?? info.dtype}; the engines read ${names}`,
      );
    }
    const [cols = 1, rows = 1] = info.shape.map(Number);
    const start = Number(tensorDataOffset + info.offset);
    const bytes = (rows * cols * format.blockBytes) / format.blockValues;
    if (start + bytes > file.length) throw new Error(`${manifest.file}: tensor ${info.name} ends beyond the file`);
    return { name: info.name, type: format.type, rows, cols, data: file.subarray(start, start + bytes) };
  });
  return { manifest, metadata, tensors };
}
