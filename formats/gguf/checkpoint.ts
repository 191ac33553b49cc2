// A GGUF file as a checkpoint.

import type { RopeScaling } from "../../src/variants/index.ts";
import { assemble } from "../assemble.ts";
import type { Checkpoint, LayerShape, ModelShape } from "../checkpoint.ts";
import { UserError } from "../error.ts";
import type { OpenFile } from "../file.ts";
import { dequantizeBlocks } from "./dequantize.ts";
import { BLOCKS, type BlockType, type ByteSource, type GgufTensor, readGguf } from "./header.ts";
import { ROPE_FACTORS, readScaling } from "./rope.ts";
import { huggingFaceRows, isRotated } from "./row-order.ts";
import { shardOf } from "./shards.ts";

interface Tensor extends GgufTensor<BlockType> {
  readonly source: ByteSource;
}
const TYPES = Object.keys(BLOCKS) as BlockType[];
/** `deci` is `llama` with numbers of heads and channels for each layer. */
const ARCHITECTURES = ["llama", "deci"];

/**
 * @param sources the file, or all shards of a split one in their order
 * @throws UserError naming the file and the metadata or tensor at fault
 */
export async function openGguf(sources: readonly OpenFile[], name: string): Promise<Checkpoint> {
  const close = async (): Promise<void> => {
    for (const source of sources) await source.close();
  };
  try {
    const { metadata, tensors } = await readShards(sources);
    const [first] = sources as [OpenFile];
    const shape = await readShape(first, metadata, tensors);
    const places = new Map(tensors.map((tensor) => [tensor.name, tensor]));
    return await assemble({
      name,
      shape,
      tensors: tensors
        .filter((tensor) => tensor.name !== ROPE_FACTORS)
        .map(({ name, type, rows, cols }) => ({ name, type, rows, cols })),
      tokenizer: {
        kind: "gguf",
        metadata: Object.fromEntries(Object.entries(metadata).filter(([key]) => key.startsWith("tokenizer."))),
      },
      async readStored(tensor) {
        const { start, bytes, source } = places.get(tensor.name) as Tensor;
        const data = await source.read(start, bytes);
        return isRotated(tensor.name) ? huggingFaceRows(data, tensor.rows, shape.headDim) : data;
      },
      close,
    });
  } catch (error) {
    await close();
    throw error;
  }
}

/** The metadata is the first shard's. */
async function readShards(
  sources: readonly ByteSource[],
): Promise<{ metadata: Readonly<Record<string, unknown>>; tensors: readonly Tensor[] }> {
  let metadata: Readonly<Record<string, unknown>> = {};
  const tensors = new Map<string, Tensor>();
  for (const [index, source] of sources.entries()) {
    const header = await readGguf(source, TYPES).catch((error: Error) => {
      throw new UserError(error.message);
    });
    const { shard, shards } = shardOf(header.metadata);
    if (shards !== sources.length || shard !== index) {
      throw new UserError(
        `${source.name} is shard ${shard + 1} of ${shards}: name it as llama.cpp does, beside the others`,
      );
    }
    if (index === 0) metadata = header.metadata as Record<string, unknown>;
    for (const tensor of header.tensors) {
      const other = tensors.get(tensor.name)?.source.name;
      if (other) throw new UserError(`tensor ${tensor.name} is in ${other} and in ${source.name}`);
      tensors.set(tensor.name, { ...tensor, source });
    }
  }
  const count = Number(metadata["split.tensors.count"] ?? tensors.size);
  if (count !== tensors.size) {
    throw new UserError(`${sources[0]?.name} and its other shards have ${tensors.size} tensors instead of ${count}`);
  }
  return { metadata, tensors: [...tensors.values()] };
}

async function readShape(
  source: ByteSource,
  metadata: Readonly<Record<string, unknown>>,
  tensors: readonly Tensor[],
): Promise<ModelShape> {
  const architecture = metadata["general.architecture"];
  if (!ARCHITECTURES.includes(architecture as string)) {
    throw new UserError(`${source.name} is of architecture ${architecture}; ${ARCHITECTURES.join(" and ")} are read`);
  }
  const find = (key: string): unknown => metadata[`${architecture}.${key}`];
  const number = (key: string, fallback?: number): number => {
    const value = find(key) ?? fallback;
    if (typeof value !== "number" && typeof value !== "bigint") {
      throw new UserError(`${source.name}: metadata ${architecture}.${key} is missing or not a number`);
    }
    if (!Number.isFinite(Number(value))) {
      throw new UserError(`${source.name}: metadata ${architecture}.${key} is ${value}: the file is damaged`);
    }
    return Number(value);
  };
  const blocks = number("block_count");
  /** One number for all layers, or one for each. */
  const each = (key: string, fallback?: readonly number[]): number[] => {
    const value = find(key) ?? fallback;
    if (!Array.isArray(value)) return new Array(blocks).fill(number(key));
    if (value.length !== blocks || !value.every((one) => Number.isInteger(one) && one >= 0)) {
      throw new UserError(`${source.name}: metadata ${architecture}.${key} is not ${blocks} whole numbers`);
    }
    return value as number[];
  };
  const hidden = number("embedding_length");
  const heads = each("attention.head_count");
  const kvHeads = each("attention.head_count_kv", heads);
  const ffn = each("feed_forward_length");
  const most = Math.max(...heads);
  const headDim = number("attention.key_length", number("rope.dimension_count", hidden / most));
  if (number("rope.dimension_count", headDim) !== headDim || headDim % 2 !== 0) {
    throw new UserError(
      `${source.name}: rotates ${number("rope.dimension_count", headDim)} of a head's ${headDim} values; all must be`,
    );
  }
  if (number("expert_count", 0) > 0) throw new UserError(`${source.name} is a mixture of experts, which is not read`);
  const embedding = tensors.find((tensor) => tensor.name === "token_embd.weight");
  if (!embedding) throw new UserError(`${source.name}: tensor token_embd.weight is missing`);
  const ropeTheta = number("rope.freq_base", 10_000);
  const stored = tensors.find((tensor) => tensor.name === ROPE_FACTORS);
  const factors = stored && dequantizeBlocks(stored.type, await stored.source.read(stored.start, stored.bytes));
  let ropeScaling: RopeScaling | undefined;
  try {
    ropeScaling = readScaling({ name: source.name, field: find, factors, headDim, ropeTheta });
  } catch (error) {
    throw new UserError((error as Error).message);
  }
  return {
    hidden,
    headDim,
    vocab: embedding.rows,
    contextLength: number("context_length"),
    ropeTheta,
    ropeScaling,
    rmsEps: Math.fround(number("attention.layer_norm_rms_epsilon")),
    layers: heads.map(
      (count, i): LayerShape => ({
        heads: count,
        kvHeads: count > 0 ? (kvHeads[i] as number) : 0,
        ffn: ffn[i] as number,
      }),
    ),
  };
}
