// The tensors of a decoder layer by GGUF's names, and how their shapes fit each other. A layer may be narrower than the base's
// configuration says: fewer heads, fewer KV groups, a narrower MLP.
import type { ModelConfig, Tensor } from "./base.ts";

export interface AttentionTensors {
  readonly norm: Tensor;
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly o: Tensor;
  /** `[1, hidden]`, added to what `o` gives; compensated pruning leaves one. */
  readonly bias: Tensor | undefined;
}

export interface MlpTensors {
  readonly norm: Tensor;
  readonly gate: Tensor;
  readonly up: Tensor;
  readonly down: Tensor;
  /** `[1, hidden]`, added to what `down` gives. */
  readonly bias: Tensor | undefined;
}

/** The matrices of a layer. */
export const LINEARS = ["q", "k", "v", "o", "gate", "up", "down"] as const;
export type Linear = (typeof LINEARS)[number];

const LINEAR_TENSORS: Readonly<Record<Linear, string>> = {
  q: "attn_q",
  k: "attn_k",
  v: "attn_v",
  o: "attn_output",
  gate: "ffn_gate",
  up: "ffn_up",
  down: "ffn_down",
};

/** The weight of a linear, as it is called within its layer. */
export const linearWeight = (linear: Linear): string => `${LINEAR_TENSORS[linear]}.weight`;

/** The weight of a layer's linear. */
export const linearTensor = (layer: number, linear: Linear): string => `blk.${layer}.${linearWeight(linear)}`;

/** The sublayer that a linear is in. */
export const sublayerOf = (linear: Linear): "attn" | "mlp" =>
  linear === "gate" || linear === "up" || linear === "down" ? "mlp" : "attn";

const weightsOf = (sublayer: "attn" | "mlp"): string[] =>
  LINEARS.filter((linear) => sublayerOf(linear) === sublayer).map(linearWeight);

/** A sublayer's tensors, as they are called within its layer; the bias, which is last, may be absent. */
export const SUBLAYER_TENSORS: Readonly<Record<"attn" | "mlp", readonly string[]>> = {
  attn: ["attn_norm.weight", ...weightsOf("attn"), "attn_output.bias"],
  mlp: ["ffn_norm.weight", ...weightsOf("mlp"), "ffn_down.bias"],
};

const IN_LAYER = [...SUBLAYER_TENSORS.attn, ...SUBLAYER_TENSORS.mlp].map((name) => name.replace(".", "\\."));
const NAME = new RegExp(`^(?:(?:token_embd|output_norm|output)\\.weight|blk\\.(\\d+)\\.(${IN_LAYER.join("|")}))$`);

/** What a tensor's name says of it: the layer, and for a bias the sublayer, or neither. */
export interface TensorName {
  readonly layer: number | undefined;
  readonly biasOf: "attn" | "mlp" | undefined;
}

/** Undefined for a name that no plan reads: what a checkpoint has beside the others changes what the model computes. */
export function parseTensorName(name: string): TensorName | undefined {
  const match = NAME.exec(name);
  if (!match) return undefined;
  const [, layer, inLayer] = match;
  const sublayer = inLayer?.startsWith("attn") ? "attn" : "mlp";
  return {
    layer: layer === undefined ? undefined : Number(layer),
    biasOf: inLayer?.endsWith(".bias") ? sublayer : undefined,
  };
}

/** Block formats that the wasm engine computes with, by what a tensor is for, the smallest first. */
export function typesOf(name: string): readonly [Tensor["type"], ...Tensor["type"][]] {
  if (/norm\.weight$|\.bias$/.test(name)) return ["f32"];
  return name.startsWith("blk.") ? ["q4_1", "q8_0"] : ["q8_0"];
}

/** Gives a layer's tensors by name, as `attn_q.weight`. */
export interface LayerReader {
  find(name: string): Tensor | undefined;
  /** @throws with this problem of the tensor, `[rows, cols]` being what it must be */
  fail(name: string, problem: string): never;
}

export function attentionTensors(layer: LayerReader, config: ModelConfig): AttentionTensors {
  const { hidden, heads, kvHeads, headDim } = config;
  const q = rowsInUnits(layer, "attn_q.weight", headDim, heads * headDim, hidden);
  const k = rowsInUnits(layer, "attn_k.weight", headDim, kvHeads * headDim, hidden);
  const group = heads / kvHeads;
  if (q.rows % k.rows > 0 || q.rows > k.rows * group) {
    const [queries, keys] = [q.rows / headDim, k.rows / headDim];
    layer.fail(
      "attn_q.weight",
      `as equal groups of at most ${group} heads, but it has ${queries} for ${keys} KV heads`,
    );
  }
  return {
    norm: exactly(layer, "attn_norm.weight", 1, hidden),
    q,
    k,
    v: exactly(layer, "attn_v.weight", k.rows, hidden),
    o: exactly(layer, "attn_output.weight", hidden, q.rows),
    bias: layer.find("attn_output.bias") && exactly(layer, "attn_output.bias", 1, hidden),
  };
}

/** Columns that share a scale in a quantized row. */
const BLOCK = 32;

export function mlpTensors(layer: LayerReader, { hidden, ffn }: ModelConfig): MlpTensors {
  const gate = rowsInUnits(layer, "ffn_gate.weight", BLOCK, ffn, hidden);
  return {
    norm: exactly(layer, "ffn_norm.weight", 1, hidden),
    gate,
    up: exactly(layer, "ffn_up.weight", gate.rows, hidden),
    down: exactly(layer, "ffn_down.weight", hidden, gate.rows),
    bias: layer.find("ffn_down.bias") && exactly(layer, "ffn_down.bias", 1, hidden),
  };
}

function exactly(layer: LayerReader, name: string, rows: number, cols: number): Tensor {
  const found = layer.find(name);
  if (!found) return layer.fail(name, "which is not there");
  if (found.rows !== rows || found.cols !== cols) {
    layer.fail(name, `as [${rows}, ${cols}], but it is [${found.rows}, ${found.cols}]`);
  }
  return found;
}

function rowsInUnits(layer: LayerReader, name: string, unit: number, most: number, cols: number): Tensor {
  const found = layer.find(name);
  if (!found) return layer.fail(name, "which is not there");
  if (found.rows % unit > 0 || found.rows > most || found.cols !== cols) {
    layer.fail(
      name,
      `as [${most}, ${cols}], or with fewer rows in multiples of ${unit}, but it is [${found.rows}, ${found.cols}]`,
    );
  }
  return found;
}
