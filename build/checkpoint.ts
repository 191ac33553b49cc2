// Reads a base checkpoint: its parts, checked against the manifest, and through them the GGUF's metadata and tensors.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { GGUFParseOutput } from "@huggingface/gguf";
import { z } from "zod";
import { sha256 } from "../formats/digest.ts";
import { notFinite } from "../formats/gguf/finite.ts";
import { readGguf } from "../formats/gguf/header.ts";
import { artifactsDir, modelsDir } from "./paths.ts";

const digestSchema = z.string().regex(/^[0-9a-f]{64}$/);
const manifestSchema = z.strictObject({
  id: z.string(),
  /** Of a file of layers: the base whose layers they take the place of. */
  base: z.string().optional(),
  /** Of a file of layers that take the place of the base's of the same numbers: how many layers the base has. */
  baseLayers: z.int().positive().optional(),
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
  readonly type: (typeof ENGINE_TYPES)[number];
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

/** GGUF's formats that the engines compute with. */
const ENGINE_TYPES = ["f32", "q4_1", "q8_0"] as const;

/** Where a checkpoint is: what ships under models/, a user's own among the artifacts. */
export const checkpointDir = (id: string): string =>
  existsSync(join(modelsDir, id)) ? join(modelsDir, id) : join(artifactsDir(), "models", id);

export interface WholeFile {
  readonly manifest: CheckpointManifest;
  readonly file: Uint8Array;
}

/**
 * A checkpoint's file, put together from its parts.
 * @param id its folder's name
 * @throws Error that names the part that is missing or damaged
 */
export async function readWhole(id: string, dir = checkpointDir(id)): Promise<WholeFile> {
  const mend = dir.startsWith(artifactsDir())
    ? `Put it into ${dir} again`
    : `Get it back with: git checkout -- models/${id}`;
  const text = await readFile(join(dir, "manifest.json"), "utf8").catch(() => {
    throw new Error(`base ${id}: models/${id}/manifest.json is missing, and there is none in ${artifactsDir()}`);
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
  return { manifest, file };
}

/**
 * @param id its folder's name
 * @throws Error that names the part that is missing or damaged, or the tensor that has a type no engine reads
 */
export const readCheckpoint = async (id: string, dir = checkpointDir(id)): Promise<Checkpoint> =>
  parseCheckpoint(await readWhole(id, dir));

/** @throws Error that names the tensor that has a type no engine reads, does not lie in the file as it says, or is not finite */
export async function parseCheckpoint({ manifest, file }: WholeFile): Promise<Checkpoint> {
  const read = async (start: number, length: number) => file.subarray(start, start + length);
  const { metadata, tensors } = await readGguf({ name: manifest.file, size: file.length, read }, ENGINE_TYPES);
  return {
    manifest,
    metadata,
    tensors: tensors.map(({ start, bytes, ...tensor }) => {
      const data = file.subarray(start, start + bytes);
      const problem = notFinite(tensor, data);
      if (problem) throw new Error(`${manifest.file}: tensor ${tensor.name} ${problem}: the file is damaged`);
      return { ...tensor, data };
    }),
  };
}
