// Lays a checkpoint's tensors out as one image, cut into content-addressed parts that fit a Workers static asset.
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buildTree, writeTree } from "../../src/engine/grammar/index.ts";
import type { BaseModel, BuiltFile, ModelConfig, Tensor } from "../../src/variants/base.ts";
import { isDecoderTensor } from "../../src/variants/plan.ts";
import { type Checkpoint, type CheckpointTensor, sha256 } from "./checkpoint.ts";
import { packQ4, packQ8 } from "./pack.ts";
import { huggingFaceRows, isRotated } from "./rows.ts";
import { buildTokenizer, type TokenizerFile, tokenBytes } from "./tokenizer.ts";

const PART_BYTES = 24 * 1024 * 1024;
const ALIGN = 64;
const align = (offset: number): number => Math.ceil(offset / ALIGN) * ALIGN;

/** Files that the build wants in a folder: name to bytes. */
export type Files = Map<string, Uint8Array>;

export interface BuiltBase {
  readonly base: BaseModel;
  readonly weights: Files;
  readonly tokenizer: TokenizerFile;
}

/**
 * Pure: the same checkpoint gives the same bytes.
 * @throws Error that names the metadata or the tensor that the engines do not know
 */
export function buildBase(checkpoint: Checkpoint): BuiltBase {
  const { manifest } = checkpoint;
  const unknown = checkpoint.tensors.find(({ name }) => !isDecoderTensor(name));
  if (unknown) throw new Error(`${manifest.file}: tensor ${unknown.name} is none that the engines compute with`);
  const config = modelConfig(checkpoint);
  let end = 0;
  const laid = checkpoint.tensors.map((source) => {
    const data = pack(
      isRotated(source.name) ? { ...source, data: huggingFaceRows(source.data, source.rows, config.headDim) } : source,
    );
    const offset = align(end);
    end = offset + data.length;
    const { name, type, rows, cols } = source;
    const tensor: Tensor = { name, digest: sha256(data), type, rows, cols, offset, bytes: data.length };
    return { tensor, data };
  });
  const image = new Uint8Array(align(end));
  for (const { tensor, data } of laid) image.set(data, tensor.offset);
  const tensors = laid.map(({ tensor }) => tensor);

  const weights: Files = new Map();
  const parts = addParts(weights, image);
  return {
    base: {
      id: manifest.id,
      digest: sha256(JSON.stringify([config, ...tensors.map((t) => [t.name, t.type, t.rows, t.cols, t.digest])])),
      created: manifest.created,
      origin: manifest.origin,
      license: manifest.license,
      config,
      tensors,
      imageBytes: image.length,
      parts,
      vocabulary: addFile(weights, "bin", writeTree(buildTree(tokenBytes(checkpoint)))),
    },
    weights,
    tokenizer: buildTokenizer(checkpoint),
  };
}

/** Cuts a file into parts that fit a static asset, and adds them. */
export function addParts(files: Files, bytes: Uint8Array): BuiltFile[] {
  const parts: BuiltFile[] = [];
  for (let start = 0; start < bytes.length; start += PART_BYTES) {
    parts.push(addFile(files, "bin", bytes.subarray(start, start + PART_BYTES)));
  }
  return parts;
}

/** Adds a file under its content-addressed name. */
function addFile(files: Files, extension: string, bytes: Uint8Array): BuiltFile {
  const digest = sha256(bytes);
  const file = `${digest}.${extension}`;
  files.set(file, bytes);
  return { file, sha256: digest, bytes: bytes.length };
}

/** Makes a folder hold just these files. Names are content digests, so one of the right size that is there is not written again. */
export async function writeFiles(dir: string, files: Files): Promise<void> {
  await mkdir(dir, { recursive: true });
  for (const name of await readdir(dir)) if (!files.has(name)) await rm(join(dir, name), { recursive: true });
  for (const [name, bytes] of files) await writeFile(join(dir, name), bytes);
}

function modelConfig({ manifest, metadata }: Checkpoint): ModelConfig {
  const fields = metadata as Record<string, unknown>;
  if (fields["general.architecture"] !== "llama") {
    throw new Error(`${manifest.file} is of architecture ${fields["general.architecture"]}; only llama is supported`);
  }
  const number = (name: string): number => {
    const value = fields[name];
    if (typeof value !== "number") throw new Error(`${manifest.file}: metadata ${name} is missing or not a number`);
    return value;
  };
  const heads = number("llama.attention.head_count");
  const hidden = number("llama.embedding_length");
  const tokens = fields["tokenizer.ggml.tokens"] as string[];
  const endOfText = tokens.indexOf("<|endoftext|>");
  return {
    layers: number("llama.block_count"),
    hidden,
    heads,
    kvHeads: number("llama.attention.head_count_kv"),
    headDim: number("llama.rope.dimension_count"),
    ffn: number("llama.feed_forward_length"),
    vocab: tokens.length,
    contextLength: number("llama.context_length"),
    ropeTheta: number("llama.rope.freq_base"),
    rmsEps: Math.fround(number("llama.attention.layer_norm_rms_epsilon")),
    bosTokenId: number("tokenizer.ggml.bos_token_id"),
    eosTokenIds: [...new Set([number("tokenizer.ggml.eos_token_id"), ...(endOfText >= 0 ? [endOfText] : [])])],
  };
}

function pack({ type, data, rows, cols }: CheckpointTensor): Uint8Array {
  if (type === "f32") return data;
  return type === "q4_1" ? packQ4(data, rows, cols) : packQ8(data, rows, cols);
}
