// A Hugging Face folder of a LlamaForCausalLM as a checkpoint: config.json, and safetensors in one file or in shards.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { assemble } from "../assemble.ts";
import type { Checkpoint, ModelShape, StoredTensor, StoredType } from "../checkpoint.ts";
import { UserError } from "../error.ts";
import { dequantizeBlocks } from "../gguf/dequantize.ts";
import { LAYER_NAMES, MODEL_NAMES } from "../tensors.ts";
import { SIDE_FILES } from "../tokenizer/convert.ts";
import { ropeOfConfig } from "./rope.ts";
import { type FilePlace, openSafetensors, type SafetensorsFiles } from "./shards.ts";

const configSchema = z.object({
  model_type: z.string(),
  hidden_size: z.int().positive(),
  intermediate_size: z.int().positive(),
  num_hidden_layers: z.int().positive().max(10_000),
  num_attention_heads: z.int().positive(),
  num_key_value_heads: z.int().positive().nullish(),
  head_dim: z.int().positive().nullish(),
  vocab_size: z.int().positive(),
  max_position_embeddings: z.int().positive(),
  rms_norm_eps: z.number().positive(),
  hidden_act: z.string().default("silu"),
  tie_word_embeddings: z.boolean().nullish(),
  rope_theta: z.number().nullish(),
  rope_scaling: z.record(z.string(), z.unknown()).nullish(),
  rope_parameters: z.record(z.string(), z.unknown()).nullish(),
  partial_rotary_factor: z.number().nullish(),
  original_max_position_embeddings: z.int().positive().nullish(),
});
type Config = z.infer<typeof configSchema>;

const TYPES: Readonly<Record<string, StoredType>> = { F32: "f32", F16: "f16", BF16: "bf16" };
/** Computed by the model, not read. */
const DERIVED = /rotary_emb\.inv_freq$/;
/** LlamaForCausalLM has these where it has biases; other layers than o and down must not use theirs. */
const UNUSED_BIAS = /\.(q|k|v|gate|up)_proj\.bias$/;

/** @throws UserError naming the file, field or tensor at fault */
export async function openHuggingFace(folder: string, name: string): Promise<Checkpoint> {
  const config = await readConfig(folder, name);
  const shape = shapeOf(config, name);
  const files = await openSafetensors(folder, name);
  try {
    const places = await ggufNames(files, name);
    // transformers takes a flag that is not there for false, and makes a head of random numbers.
    if (!config.tie_word_embeddings && !places.has("output.weight")) {
      const says = config.tie_word_embeddings === false ? "says that the head is not the embedding" : "does not say so";
      throw new UserError(
        `${name}: tensor lm_head.weight is missing, and config.json ${says} (tie_word_embeddings): set it to true if the embedding is the head`,
      );
    }
    const tensors = [...places].map(([tensor, { dtype, shape }]): StoredTensor => {
      const [rows, cols] = shape.length === 1 ? [1, shape[0] as number] : [shape[0] ?? 0, shape[1] ?? 0];
      if (shape.length > 2) throw new UserError(`${name}: tensor ${tensor} has the shape [${shape}]`);
      return { name: tensor, type: TYPES[dtype] as StoredType, rows, cols };
    });
    return await assemble({
      name,
      shape,
      tensors,
      tokenizer: { kind: "files", files: await sideFiles(folder) },
      readStored: (tensor) => files.read(places.get(tensor.name) as FilePlace),
      close: files.close,
    });
  } catch (error) {
    await files.close();
    throw error;
  }
}

async function readConfig(folder: string, name: string): Promise<Config> {
  const text = await readFile(join(folder, "config.json"), "utf8").catch(() => {
    throw new UserError(`${name}/config.json is missing`);
  });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new UserError(`${name}/config.json is not JSON: ${(error as Error).message}`);
  }
  const type = (json as { model_type?: unknown } | null)?.model_type;
  if (type !== "llama") throw new UserError(`${name}/config.json: model_type is ${type}; llama is read`);
  const parsed = configSchema.safeParse(json);
  if (!parsed.success) throw new UserError(`${name}/config.json is not as expected:\n${z.prettifyError(parsed.error)}`);
  if (parsed.data.hidden_act !== "silu") {
    throw new UserError(`${name}/config.json: hidden_act is ${parsed.data.hidden_act}; silu is read`);
  }
  return parsed.data;
}

function shapeOf(config: Config, name: string): ModelShape {
  const heads = config.num_attention_heads;
  const kvHeads = config.num_key_value_heads ?? heads;
  const headDim = config.head_dim ?? config.hidden_size / heads;
  if (heads % kvHeads !== 0 || headDim % 2 !== 0) {
    throw new UserError(`${name}/config.json: ${heads} heads, ${kvHeads} KV heads and a head of ${headDim} do not fit`);
  }
  const layer = { heads, kvHeads, ffn: config.intermediate_size };
  return {
    hidden: config.hidden_size,
    headDim,
    vocab: config.vocab_size,
    contextLength: config.max_position_embeddings,
    ...ropeOfConfig(config, `${name}/config.json`),
    rmsEps: Math.fround(config.rms_norm_eps),
    layers: new Array(config.num_hidden_layers).fill(layer),
  };
}

const GGUF_OF_LAYER = new Map(Object.entries(LAYER_NAMES).map(([gguf, name]) => [name, gguf]));
const GGUF_OF_MODEL = new Map(Object.entries(MODEL_NAMES).map(([gguf, name]) => [name, gguf]));

/** Where each tensor lies, by GGUF's names. */
async function ggufNames(files: SafetensorsFiles, name: string): Promise<Map<string, FilePlace>> {
  const places = new Map<string, FilePlace>();
  for (const [tensor, place] of files.places) {
    const [, layer, local = ""] = /^model\.layers\.(\d+)\.(.+)$/.exec(tensor) ?? [];
    const within = GGUF_OF_LAYER.get(local);
    const gguf = within ? `blk.${layer}.${within}` : GGUF_OF_MODEL.get(tensor);
    if (gguf) places.set(gguf, place);
    else if (UNUSED_BIAS.test(tensor)) {
      const values = dequantizeBlocks(TYPES[place.dtype] as StoredType, await files.read(place));
      if (values.some((value) => value !== 0)) {
        throw new UserError(`${name}: tensor ${tensor} is not zero; biases are read of o_proj and down_proj only`);
      }
    } else if (!DERIVED.test(tensor)) {
      throw new UserError(`${name}: tensor ${tensor} is none of a LlamaForCausalLM's`);
    }
  }
  return places;
}

async function sideFiles(folder: string): Promise<Map<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>();
  for (const file of SIDE_FILES) {
    const bytes = await readFile(join(folder, file)).catch(() => undefined);
    if (bytes) found.set(file, bytes);
  }
  return found;
}
