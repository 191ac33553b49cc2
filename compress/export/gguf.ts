// A variant as a GGUF file that llama.cpp loads: architecture `llama` where all slots are alike, else `deci`, which has numbers of heads
// and channels for each layer. (llama.cpp, src/models/deci.cpp)

import type { LayerShape } from "../../formats/checkpoint.ts";
import type { BlockType } from "../../formats/gguf/header.ts";
import { ROPE_FACTORS, ROPE_SETTINGS, ropeFactors } from "../../formats/gguf/rope.ts";
import { ggufRows, isRotated } from "../../formats/gguf/row-order.ts";
import { type GgufOut, ggufChunks, type MetadataEntry } from "../../formats/gguf/writer.ts";
import { layerShapes } from "../../formats/tensors.ts";
import { ggufTokenizer } from "../../formats/tokenizer/convert.ts";
import type { Output } from "../output.ts";
import type { EncodedType } from "../quantize/encode.ts";
import { encodeBlocks } from "../quantize/encode.ts";
import type { Stack, StackSlot, StackTensor } from "../stack.ts";
import { convert } from "./convert.ts";

/** `stored`: every tensor as the variant has it, bit by bit; where an adapter was added, Q8_0. */
export const GGUF_TYPES = ["stored", "f32", "f16", "bf16", "q8_0"] as const;
/** `served`: what the engines compute with, linears Q4_1, embedding and head Q8_0. */
export type GgufType = (typeof GGUF_TYPES)[number] | "served";

const BLOCK = 32;

export function ggufOutput(stack: Stack, type: GgufType): Output {
  const { metadata, tensors } = ggufContents(stack, type);
  return { kind: "file", chunks: ggufChunks(metadata, tensors) };
}

export interface GgufContents {
  readonly metadata: readonly MetadataEntry[];
  readonly tensors: readonly GgufOut[];
}

export function ggufContents(stack: Stack, type: GgufType): GgufContents {
  const { base, embedding, outputNorm, head } = stack;
  const slots = stack.slots.map((slot, index) => expressible(slot, index, stack));
  const [first] = slots as [GgufSlot];
  const uniform = slots.every(({ shape }) => JSON.stringify(shape) === JSON.stringify(first.shape));
  const out = (name: string, tensor: StackTensor): GgufOut => ggufTensor(name, tensor, type, base.shape.headDim);
  const tensors: GgufOut[] = [
    out("token_embd.weight", embedding),
    ...slots.flatMap(({ tensors, zeros }, index) => [
      ...[...tensors].map(([name, tensor]) => out(`blk.${index}.${name}`, tensor)),
      ...zeros.map(([name, rows, cols, fill]) => constant(`blk.${index}.${name}`, rows, cols, fill)),
    ]),
    out("output_norm.weight", outputNorm),
    ...(head ? [out("output.weight", head)] : []),
    ...ropeTensor(stack),
  ];
  const metadata = [
    ...describe(
      stack,
      uniform ? "llama" : "deci",
      slots.map(({ shape }) => shape),
    ),
    ...ggufTokenizer(base.tokenizer, base.shape.vocab, base.name),
  ];
  return { metadata, tensors };
}

/** A tensor of ones or zeros: name, rows, columns, value. */
type Constant = readonly [name: string, rows: number, cols: number, fill: number];

interface GgufSlot {
  readonly shape: LayerShape;
  readonly tensors: StackSlot["tensors"];
  readonly zeros: readonly Constant[];
}

/**
 * llama.cpp takes the width of a head from layer 0, which must have one, and drops what the attention of a layer without an FFN gives.
 * There, a head or an FFN of 32 channels of zeros adds nothing, exactly.
 */
function expressible({ shape, tensors }: StackSlot, index: number, { base }: Stack): GgufSlot {
  const noAttention = shape.heads === 0 && index === 0;
  const noMlp = shape.ffn === 0;
  return {
    shape: {
      heads: noAttention ? 1 : shape.heads,
      kvHeads: noAttention ? 1 : shape.kvHeads,
      ffn: noMlp ? BLOCK : shape.ffn,
    },
    tensors,
    zeros: layerShapes(
      { heads: noAttention ? 1 : 0, kvHeads: noAttention ? 1 : 0, ffn: noMlp ? BLOCK : 0 },
      base.shape,
    ).map(([name, rows, cols]) => [name, rows, cols, name.endsWith("norm.weight") ? 1 : 0]),
  };
}

function constant(name: string, rows: number, cols: number, fill: number): GgufOut {
  return {
    name,
    type: "f32",
    rows,
    cols,
    bytes: async () => encodeBlocks("f32", new Float32Array(rows * cols).fill(fill), cols),
  };
}

/** Norms and biases are fp32, as llama.cpp wants them. */
function ggufTensor(name: string, tensor: StackTensor, wanted: GgufType, headDim: number): GgufOut {
  const { rows, cols } = tensor;
  const stored = tensor.merged && cols % BLOCK === 0 ? "q8_0" : tensor.type;
  const served = name.startsWith("blk.") ? "q4_1" : "q8_0";
  const chosen = wanted === "stored" ? stored : wanted === "served" ? served : wanted;
  const type: BlockType = rows === 1 ? "f32" : chosen;
  return {
    name,
    type,
    rows,
    cols,
    async bytes() {
      const bytes = type === tensor.type ? await tensor.bytes() : await convert(tensor, type as EncodedType);
      return isRotated(name) ? ggufRows(bytes, rows, headDim) : bytes;
    },
  };
}

/** Llama 3's scaling, which llama.cpp reads as factors; the linear one is metadata. */
function ropeTensor({ base }: Stack): GgufOut[] {
  const { ropeScaling, headDim, ropeTheta } = base.shape;
  if (ropeScaling?.type !== "llama3") return [];
  const factors = ropeFactors(ropeScaling, headDim, ropeTheta);
  const bytes = async () => encodeBlocks("f32", factors, factors.length);
  return [{ name: ROPE_FACTORS, type: "f32", rows: 1, cols: factors.length, bytes }];
}

function describe({ base, recipe }: Stack, arch: "llama" | "deci", shapes: readonly LayerShape[]): MetadataEntry[] {
  const { hidden, headDim, vocab, contextLength, ropeTheta, ropeScaling, rmsEps } = base.shape;
  const each = (key: string, size: keyof LayerShape): MetadataEntry =>
    arch === "llama"
      ? [`llama.${key}`, "u32", shapes[0]?.[size] as number]
      : [`deci.${key}`, "i32[]", shapes.map((shape) => shape[size])];
  return [
    ["general.architecture", "string", arch],
    ["general.name", "string", recipe.id],
    ["general.quantization_version", "u32", 2],
    [`${arch}.block_count`, "u32", shapes.length],
    [`${arch}.context_length`, "u32", contextLength],
    [`${arch}.embedding_length`, "u32", hidden],
    each("feed_forward_length", "ffn"),
    each("attention.head_count", "heads"),
    each("attention.head_count_kv", "kvHeads"),
    [`${arch}.attention.key_length`, "u32", headDim],
    [`${arch}.attention.value_length`, "u32", headDim],
    [`${arch}.attention.layer_norm_rms_epsilon`, "f32", rmsEps],
    [`${arch}.rope.dimension_count`, "u32", headDim],
    [`${arch}.rope.freq_base`, "f32", ropeTheta],
    ...(ropeScaling?.type === "linear"
      ? ([
          [`${arch}.rope.scaling.type`, "string", "linear"],
          [`${arch}.rope.scaling.factor`, "f32", ropeScaling.factor],
        ] satisfies MetadataEntry[])
      : []),
    ...(ropeScaling?.type === "llama3"
      ? ([[`${arch}.${ROPE_SETTINGS}`, "string", JSON.stringify(ropeScaling)]] satisfies MetadataEntry[])
      : []),
    [`${arch}.vocab_size`, "u32", vocab],
  ];
}
