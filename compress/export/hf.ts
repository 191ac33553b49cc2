// A variant as a Hugging Face folder that transformers' LlamaForCausalLM loads.
import type { LayerShape } from "../../formats/checkpoint.ts";
import { UserError } from "../../formats/error.ts";
import { configOfScaling } from "../../formats/hugging-face/rope.ts";
import { safetensorsHeader } from "../../formats/safetensors.ts";
import { LAYER_NAMES, MODEL_NAMES } from "../../formats/tensors.ts";
import { specialTokens, tokenizerFiles } from "../../formats/tokenizer/convert.ts";
import type { Chunks, Output } from "../output.ts";
import type { Stack, StackTensor } from "../stack.ts";
import { convert } from "./convert.ts";

export const HF_TYPES = ["f32", "f16", "bf16"] as const;
export type HfType = (typeof HF_TYPES)[number];
const TORCH = { f32: "float32", f16: "float16", bf16: "bfloat16" } as const;

interface Named {
  readonly name: string;
  readonly shape: readonly number[];
  /** Undefined: zeros. */
  readonly tensor: StackTensor | undefined;
}

const json = (value: unknown): Uint8Array => Buffer.from(`${JSON.stringify(value, null, 2)}\n`);

/** @throws UserError naming the slot that LlamaForCausalLM cannot express, and a format that can */
export function huggingFaceOutput(stack: Stack, type: HfType): Output {
  const shape = uniformShape(stack);
  const bias = {
    attention: stack.slots.some(({ tensors }) => tensors.has("attn_output.bias")),
    mlp: stack.slots.some(({ tensors }) => tensors.has("ffn_down.bias")),
  };
  const tensors = namedTensors(stack, shape, bias);
  const { base } = stack;
  const special = specialTokens(base.tokenizer);
  const ids = {
    ...(special.bos === undefined ? {} : { bos_token_id: special.bos }),
    ...(special.eos.length === 0 ? {} : { eos_token_id: special.eos.length === 1 ? special.eos[0] : special.eos }),
    ...(special.pad === undefined ? {} : { pad_token_id: special.pad }),
  };
  const config = {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_act: "silu",
    hidden_size: base.shape.hidden,
    intermediate_size: shape.ffn,
    num_hidden_layers: stack.slots.length,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    head_dim: base.shape.headDim,
    vocab_size: base.shape.vocab,
    max_position_embeddings: base.shape.contextLength,
    rms_norm_eps: shortest(base.shape.rmsEps),
    rope_theta: base.shape.ropeTheta,
    rope_scaling: base.shape.ropeScaling ? configOfScaling(base.shape.ropeScaling) : null,
    tie_word_embeddings: stack.head === undefined,
    attention_bias: bias.attention,
    mlp_bias: bias.mlp,
    torch_dtype: TORCH[type],
    ...ids,
  };
  return {
    kind: "folder",
    files: new Map<string, Chunks>([
      ["config.json", [json(config)]],
      ["generation_config.json", [json({ _from_model_config: true, ...ids })]],
      ...[...tokenizerFiles(base.tokenizer, base.name)].map(([name, bytes]): [string, Chunks] => [name, [bytes]]),
      ["model.safetensors", safetensors(tensors, type)],
    ]),
  };
}

/** What all slots have in common. */
function uniformShape({ recipe, slots, base }: Stack): LayerShape {
  const [first] = slots;
  if (!first) throw new UserError(`${recipe.id} has no slots`);
  const refuse = (index: number, problem: string): UserError =>
    new UserError(
      `${recipe.id}: slot ${index} (layer ${slots[index]?.layer}) ${problem}, which LlamaForCausalLM cannot express: use --format gguf`,
    );
  for (const [index, { shape }] of slots.entries()) {
    if (shape.heads === 0) throw refuse(index, "has no attention");
    if (shape.ffn === 0) throw refuse(index, "has no MLP");
    for (const size of ["heads", "kvHeads", "ffn"] as const) {
      if (shape[size] === first.shape[size]) continue;
      throw refuse(index, `has ${size} ${shape[size]}, slot 0 has ${first.shape[size]}`);
    }
  }
  if (base.shape.hidden % first.shape.heads !== 0) {
    throw refuse(0, `has ${first.shape.heads} heads, which do not divide the hidden size of ${base.shape.hidden}`);
  }
  return first.shape;
}

/** LlamaForCausalLM has biases on all linears of a sublayer or on none: those that a variant lacks are zeros. */
function namedTensors(stack: Stack, shape: LayerShape, bias: { attention: boolean; mlp: boolean }): Named[] {
  const { base, slots, embedding, outputNorm, head } = stack;
  const named = (name: string, tensor: StackTensor): Named => ({
    name,
    shape: tensor.rows === 1 ? [tensor.cols] : [tensor.rows, tensor.cols],
    tensor,
  });
  const zeros = (name: string, size: number): Named => ({ name, shape: [size], tensor: undefined });
  const width = { q: shape.heads * base.shape.headDim, kv: shape.kvHeads * base.shape.headDim };
  const layers = slots.flatMap(({ tensors }, index) => {
    const prefix = `model.layers.${index}`;
    const missing = (name: string): Named[] =>
      tensors.has(name) ? [] : [zeros(`${prefix}.${LAYER_NAMES[name]}`, base.shape.hidden)];
    return [
      ...[...tensors].map(([name, tensor]) => named(`${prefix}.${LAYER_NAMES[name]}`, tensor)),
      ...(bias.attention
        ? [
            zeros(`${prefix}.self_attn.q_proj.bias`, width.q),
            zeros(`${prefix}.self_attn.k_proj.bias`, width.kv),
            zeros(`${prefix}.self_attn.v_proj.bias`, width.kv),
            ...missing("attn_output.bias"),
          ]
        : []),
      ...(bias.mlp
        ? [
            zeros(`${prefix}.mlp.gate_proj.bias`, shape.ffn),
            zeros(`${prefix}.mlp.up_proj.bias`, shape.ffn),
            ...missing("ffn_down.bias"),
          ]
        : []),
    ];
  });
  const model = (name: string, tensor: StackTensor) => named(MODEL_NAMES[name] as string, tensor);
  return [
    model("token_embd.weight", embedding),
    ...layers,
    model("output_norm.weight", outputNorm),
    ...(head ? [model("output.weight", head)] : []),
  ];
}

async function* safetensors(tensors: readonly Named[], type: HfType): AsyncGenerator<Uint8Array> {
  const bytesOf = ({ shape }: Named): number => shape.reduce((a, b) => a * b, 1) * (type === "f32" ? 4 : 2);
  yield safetensorsHeader(tensors.map((tensor) => ({ ...tensor, dtype: type.toUpperCase(), bytes: bytesOf(tensor) })));
  for (const named of tensors) {
    yield named.tensor ? await convert(named.tensor, type) : new Uint8Array(bytesOf(named));
  }
}

/** The shortest decimal that is the same fp32 number: 1e-5, not 0.000009999999747378752. */
function shortest(value: number): number {
  for (let digits = 1; digits < 10; digits++) {
    const rounded = Number(value.toPrecision(digits));
    if (Math.fround(rounded) === Math.fround(value)) return rounded;
  }
  return value;
}
