// The tensors of a LLaMA decoder: what GGUF and Hugging Face call them, and their shapes.
import { LINEARS, type Linear, linearWeight } from "../src/variants/index.ts";
import type { LayerShape, ModelShape } from "./checkpoint.ts";

/** What Hugging Face calls the linears of a layer. */
export const MODULES: Readonly<Record<Linear, string>> = {
  q: "self_attn.q_proj",
  k: "self_attn.k_proj",
  v: "self_attn.v_proj",
  o: "self_attn.o_proj",
  gate: "mlp.gate_proj",
  up: "mlp.up_proj",
  down: "mlp.down_proj",
};

/** Hugging Face's names of a layer's tensors, by what GGUF calls them within a layer. */
export const LAYER_NAMES: Readonly<Record<string, string>> = {
  ...Object.fromEntries(LINEARS.map((linear) => [linearWeight(linear), `${MODULES[linear]}.weight`])),
  "attn_norm.weight": "input_layernorm.weight",
  "attn_output.bias": "self_attn.o_proj.bias",
  "ffn_norm.weight": "post_attention_layernorm.weight",
  "ffn_down.bias": "mlp.down_proj.bias",
};

/** Hugging Face's names of the tensors outside the layers, by GGUF's. */
export const MODEL_NAMES: Readonly<Record<string, string>> = {
  "token_embd.weight": "model.embed_tokens.weight",
  "output_norm.weight": "model.norm.weight",
  "output.weight": "lm_head.weight",
};

export type TensorShape = readonly [name: string, rows: number, cols: number];

/** Weights that a layer of this width has, in GGUF's order; a sublayer of width 0 has none. */
export function layerShapes(
  { heads, kvHeads, ffn }: LayerShape,
  { hidden, headDim }: Pick<ModelShape, "hidden" | "headDim">,
): TensorShape[] {
  const attention: TensorShape[] = [
    ["attn_norm.weight", 1, hidden],
    [linearWeight("q"), heads * headDim, hidden],
    [linearWeight("k"), kvHeads * headDim, hidden],
    [linearWeight("v"), kvHeads * headDim, hidden],
    [linearWeight("o"), hidden, heads * headDim],
  ];
  const mlp: TensorShape[] = [
    ["ffn_norm.weight", 1, hidden],
    [linearWeight("gate"), ffn, hidden],
    [linearWeight("up"), ffn, hidden],
    [linearWeight("down"), hidden, ffn],
  ];
  return [...(heads > 0 ? attention : []), ...(ffn > 0 ? mlp : [])];
}
