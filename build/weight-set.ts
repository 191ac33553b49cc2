// Makes a weight set of a checkpoint: shapes, image and vocabulary.

import { ROPE_FACTORS, readScaling } from "../formats/gguf/rope.ts";
import { huggingFaceRows, isRotated } from "../formats/gguf/row-order.ts";
import { TOKEN_TYPES, tokenizerFields } from "../formats/tokenizer/gguf-fields.ts";
import { buildTokenizer, type TokenizerFile, tokenBytes } from "../formats/tokenizer/hugging-face-form.ts";
import { buildTree, type VocabularyTree, writeTree } from "../src/engine/grammar/index.ts";
import type { BaseModel, ModelConfig } from "../src/variants/index.ts";
import { parseTensorName } from "../src/variants/index.ts";
import type { Checkpoint, CheckpointManifest, CheckpointTensor } from "./checkpoint.ts";
import { buildPieces, joinPieces, type Output, type Piece, type SourceTensor, weightsDigest } from "./weight-image.ts";

export interface BuiltBase {
  readonly base: BaseModel;
  /** What the image is made of. */
  readonly sources: readonly SourceTensor[];
  readonly pieces: ReadonlyMap<string, Piece>;
  readonly tokenizer: TokenizerFile;
}

/** What the build knows of a checkpoint before it lays out the weights. */
export interface CheckedBase {
  readonly config: ModelConfig;
  readonly tensors: readonly CheckpointTensor[];
  /** The bytes of its tokens. */
  readonly vocabulary: VocabularyTree;
  readonly tokenizer: TokenizerFile;
}

/** @throws Error that names the metadata or the tensor that the engines do not know */
export function checkBase(checkpoint: Checkpoint): CheckedBase {
  const tensors = checkpoint.tensors.filter(({ name }) => name !== ROPE_FACTORS);
  const unknown = tensors.find(({ name }) => !parseTensorName(name));
  if (unknown) {
    throw new Error(`${checkpoint.manifest.file}: tensor ${unknown.name} is none that the engines compute with`);
  }
  const config = modelConfig(checkpoint);
  const tokenizer = buildTokenizer(checkpoint);
  return { config, tensors, tokenizer, vocabulary: buildTree(tokenBytes(checkpoint)) };
}

/**
 * The same checkpoint gives the same bytes.
 * @param output receives the image's parts and the vocabulary
 * @throws Error that names the metadata or the tensor that the engines do not know
 */
export async function buildBase(checkpoint: Checkpoint, output: Output): Promise<BuiltBase> {
  const { manifest } = checkpoint;
  const { config, tensors, vocabulary, tokenizer } = checkBase(checkpoint);
  const sources = tensors.map(({ name, type, rows, cols, data }): SourceTensor => {
    const identity = `${manifest.sha256} ${name}`;
    return {
      name,
      type,
      rows,
      cols,
      identity,
      read: async () => (isRotated(name) ? huggingFaceRows(data, rows, config.headDim) : data),
    };
  });
  const pieces = await buildPieces(sources, output);
  const image = joinPieces(pieces.values());
  return {
    base: {
      ...describe(manifest),
      digest: weightsDigest(config, image.tensors),
      config,
      ...image,
      vocabulary: await output.files.add(writeTree(vocabulary)),
    },
    sources,
    pieces,
    tokenizer,
  };
}

const describe = ({ id, created, origin, license }: CheckpointManifest) => ({ id, created, origin, license });

/** @throws Error that names the metadata that is missing */
export function modelConfig({ manifest, metadata, tensors }: Checkpoint): ModelConfig {
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
  const { tokens, types, idOf, endIds, fail } = tokenizerFields(manifest.file, metadata);
  const [end] = endIds;
  if (end === undefined) throw fail("metadata tokenizer.ggml.eos_token_id is missing");
  const headDim = number("llama.rope.dimension_count");
  const ropeTheta = number("llama.rope.freq_base");
  const stored = tensors.find(({ name }) => name === ROPE_FACTORS);
  const ropeScaling = readScaling({
    name: manifest.file,
    field: (key) => fields[`llama.${key}`],
    factors: stored && new Float32Array(Uint8Array.from(stored.data).buffer),
    headDim,
    ropeTheta,
  });
  return {
    layers: number("llama.block_count"),
    hidden,
    heads,
    kvHeads: number("llama.attention.head_count_kv"),
    headDim,
    ffn: number("llama.feed_forward_length"),
    vocab: tokens.length,
    contextLength: number("llama.context_length"),
    ropeTheta,
    ...(ropeScaling ? { ropeScaling } : {}),
    rmsEps: Math.fround(number("llama.attention.layer_norm_rms_epsilon")),
    bosTokenId: idOf("bos") ?? end,
    eosTokenIds: [...endIds],
    ...unusedIds(types, endIds),
  };
}

/** An end token is drawn, whatever its type says. */
function unusedIds(types: readonly number[], endIds: readonly number[]): Pick<ModelConfig, "unused"> {
  const unused: [number, number][] = [];
  for (const [id, type] of types.entries()) {
    if (type !== TOKEN_TYPES.unused || endIds.includes(id)) continue;
    const last = unused.at(-1);
    if (last?.[1] === id) last[1] = id + 1;
    else unused.push([id, id + 1]);
  }
  return unused.length > 0 ? { unused } : {};
}
