// Layers that go with a base's embedding and head, as training leaves them: a safetensors file of GGUF's Q4_1 blocks and of fp32 norms, in
// a folder with a manifest of its parts.
import { basename } from "node:path";
import { sha256 } from "../formats/digest.ts";
import { notFinite } from "../formats/gguf/finite.ts";
import { BLOCKS } from "../formats/gguf/header.ts";
import { headerBytes, readPlaces } from "../formats/safetensors.ts";
import { parseTensorName, typesOf } from "../src/variants/index.ts";
import { type CheckpointTensor, readWhole } from "./checkpoint.ts";
import { recipeFile } from "./paths.ts";
import { buildPieces, joinPieces, type Output, pieceOf, type SourceTensor, weightsDigest } from "./weight-image.ts";
import type { BuiltBase } from "./weight-set.ts";

export interface Layers {
  /** Of the model that they make with the base, which gives it the layers that are not here. */
  readonly count: number;
  /** Numbers of those that are here. */
  readonly numbers: ReadonlySet<number>;
  /** By GGUF's names, q and k rows in Hugging Face's order. Only a layer's, and perhaps `output_norm.weight`. */
  readonly tensors: readonly CheckpointTensor[];
}

/**
 * Reads a file of layers. Linears are U8 `[rows, bytes of a row's Q4_1 blocks]`, norms and biases F32 `[cols]`.
 * @param baseLayers how many layers the base has, whose place these take by their numbers; undefined: these are all
 * @throws Error that names the tensor that is none of a layer's, of another type or shape than it must be, or not finite
 */
export function readLayers(file: Uint8Array, baseLayers?: number): Layers {
  const data = 8 + headerBytes(file.subarray(0, 8), file.length);
  const places = readPlaces(file.subarray(8, data), file.length - data, ["U8", "F32"]);
  const found = new Set<number>();
  const tensors = places.map(({ name, dtype, shape, start, bytes }): CheckpointTensor => {
    const fail = (problem: string): Error => new Error(`tensor ${name} ${problem}`);
    const parsed = parseTensorName(name);
    if (!parsed || (parsed.layer === undefined && name !== "output_norm.weight")) {
      throw fail("is none of a layer's, nor output_norm.weight");
    }
    if (parsed.layer !== undefined) found.add(parsed.layer);
    const type = dtype === "U8" ? "q4_1" : "f32";
    if (!typesOf(name).includes(type)) throw fail(`is ${type}, it must be ${typesOf(name).join(" or ")}`);
    const [rows = 0, rowBytes = 0, ...more] = type === "q4_1" ? shape : [1, ...shape];
    const { bytes: blockBytes, values } = BLOCKS[type];
    const width = type === "q4_1" ? rowBytes : rowBytes * blockBytes;
    if (more.length > 0 || rows < 1 || width < 1 || width % blockBytes > 0) {
      const wanted = type === "q4_1" ? `[rows, columns / ${values} * ${blockBytes}]` : "[columns]";
      throw fail(`has the shape [${shape}], it must be ${wanted}`);
    }
    const content = file.subarray(data + start, data + start + bytes);
    const cols = (width / blockBytes) * values;
    const problem = notFinite({ type, cols }, content);
    if (problem) throw fail(problem);
    return { name, type, rows, cols, data: content };
  });
  if (found.size === 0) throw new Error("it has no layers");
  const gap = [...found].findIndex((_, layer) => !found.has(layer));
  if (baseLayers === undefined && gap >= 0) {
    throw new Error(`it has ${found.size} layers, but none of them is layer ${gap}`);
  }
  const count = baseLayers ?? found.size;
  const beyond = [...found].find((layer) => layer >= count);
  if (beyond !== undefined) throw new Error(`it has layer ${beyond}, but the base has ${count} layers`);
  return { count, numbers: found, tensors };
}

/** Whether the base's tensor of this name is the model's too. */
export function staysWith({ count, numbers, tensors }: Layers, name: string): boolean {
  const layer = parseTensorName(name)?.layer;
  if (layer === undefined) return tensors.every((own) => own.name !== name);
  return layer < count && !numbers.has(layer);
}

/**
 * A folder's layers.
 * @param folder as a recipe names it
 * @throws Error that names the part that is missing or damaged, or the tensor at fault
 */
export async function openLayers(folder: string): Promise<Layers & { readonly base: string | undefined }> {
  const { manifest, file } = await readWhole(basename(folder), recipeFile(folder));
  try {
    return { ...readLayers(file, manifest.baseLayers), base: manifest.base };
  } catch (error) {
    throw new Error(`${folder}: ${manifest.file}: ${(error as Error).message}`);
  }
}

/**
 * The base with other layers: a weight set whose embedding and head are the base's own files.
 * @param id what the weight set is called
 */
export async function buildLayers(id: string, layers: Layers, built: BuiltBase, output: Output): Promise<BuiltBase> {
  const { base, sources, pieces, tokenizer } = built;
  const own = layers.tensors.map(
    ({ data, ...tensor }): SourceTensor => ({
      ...tensor,
      identity: sha256(data),
      read: async () => data,
    }),
  );
  const kept = sources.filter(({ name }) => staysWith(layers, name));
  const files = new Set(kept.map(({ name }) => pieceOf(name)));
  const all = new Map([...[...pieces].filter(([name]) => files.has(name)), ...(await buildPieces(own, output))]);
  const image = joinPieces(all.values());
  const config = { ...base.config, layers: layers.count };
  const digest = weightsDigest(config, image.tensors);
  return {
    base: { ...base, id, checkpoint: base.id, digest, config, ...image },
    sources: [...kept, ...own],
    pieces: all,
    tokenizer,
  };
}

/** A weight set of a folder's layers is called as the folder is. */
export const layersId = (folder: string): string => basename(folder);
