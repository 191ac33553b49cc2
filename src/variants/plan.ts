// Compiles a recipe into a plan: the tensors that each slot reads and what a token costs. Pure; runs at build time and in the Workers.
import type { Adapter } from "./adapter.ts";
import type { BaseModel, BuiltFile, ModelConfig, Tensor } from "./base.ts";
import type { OnnxRecipe, SlotRecipe } from "./recipe.ts";

/** Highest rank of an adapter. */
export const MAX_RANK = 64;

export interface AttentionPlan {
  readonly norm: Tensor;
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly o: Tensor;
  /** Index of this slot's KV cache among the plan's. */
  readonly kv: number;
}

export interface MlpPlan {
  readonly norm: Tensor;
  readonly gate: Tensor;
  readonly up: Tensor;
  readonly down: Tensor;
}

export interface PlanSlot {
  readonly layer: number;
  readonly attn: AttentionPlan | undefined;
  readonly mlp: MlpPlan | undefined;
}

export interface Costs {
  /** Bytes of weights read for one token (repeated slots count each time; of the embedding, the output head). */
  readonly weightBytes: number;
  /** Multiply-adds of all matrix products for one token, attention over the context not included. */
  readonly multiplyAdds: number;
  /** Values of K and V that one token adds to the cache, over all slots. An engine multiplies by its own bytes a value. */
  readonly kvValues: number;
  /** KV bytes a token at 16 bits a value, the field's usual measure. */
  readonly kvBytes: number;
}

export interface Plan {
  readonly id: string;
  /** What this plan computes, as text: the same for two recipes exactly when they compute the same. The build hashes it. */
  readonly fingerprint: string;
  readonly base: BaseModel;
  readonly embedding: Tensor;
  readonly outputNorm: Tensor;
  readonly head: Tensor;
  readonly slots: readonly PlanSlot[];
  /** Slots with attention, which is the number of KV caches. */
  readonly kvSlots: number;
  readonly contextLength: number;
  /** Low-rank corrections to some of the slots' linears. */
  readonly adapter: Adapter | undefined;
  readonly costs: Costs;
  /** Parts of the ONNX file of a model that a user brings: then `slots` is empty and the graph is the model. */
  readonly onnx: readonly BuiltFile[] | undefined;
}

/** A recipe that its base cannot satisfy. */
export class PlanError extends Error {
  override readonly name = "PlanError";
}

type Shape = (config: ModelConfig) => [rows: number, cols: number];
const query: Shape = (c) => [c.heads * c.headDim, c.hidden];
const keyValue: Shape = (c) => [c.kvHeads * c.headDim, c.hidden];
const norm: Shape = (c) => [1, c.hidden];

/** GGUF's tensor names and the shapes they must have. */
const LAYER_TENSORS = {
  attn_norm: norm,
  attn_q: query,
  attn_k: keyValue,
  attn_v: keyValue,
  attn_output: (c) => [c.hidden, c.heads * c.headDim],
  ffn_norm: norm,
  ffn_gate: (c) => [c.ffn, c.hidden],
  ffn_up: (c) => [c.ffn, c.hidden],
  ffn_down: (c) => [c.hidden, c.ffn],
} satisfies Record<string, Shape>;

const TENSOR = new RegExp(
  `^(?:token_embd|output_norm|output|blk\\.\\d+\\.(?:${Object.keys(LAYER_TENSORS).join("|")}))\\.weight$`,
);

/** Whether a plan may read a tensor of this name. What a checkpoint has beside those, as biases, changes what the model computes. */
export const isDecoderTensor = (name: string): boolean => TENSOR.test(name);

/**
 * @param adapter the recipe's adapter as built
 * @throws PlanError naming the recipe, the slot and the layer or tensor that is not there or has another shape
 */
export function compilePlan(recipe: SlotRecipe, base: BaseModel, adapter?: Adapter): Plan {
  if (recipe.adapter && !adapter) throw new PlanError(`${recipe.id}: ${recipe.adapter.file} was not built`);
  const { config } = base;
  const byName = new Map(base.tensors.map((tensor) => [tensor.name, tensor]));
  const tensor = (name: string, [rows, cols]: [number, number], where: string): Tensor => {
    const found = byName.get(name);
    if (!found) throw new PlanError(`${recipe.id}: ${where} needs tensor ${name}, which ${base.id} does not have`);
    if (found.rows !== rows || found.cols !== cols) {
      throw new PlanError(
        `${recipe.id}: ${where} needs ${name} as [${rows}, ${cols}], but in ${base.id} it is [${found.rows}, ${found.cols}]`,
      );
    }
    return found;
  };

  let kvSlots = 0;
  const slots = recipe.slots.map((slot, index): PlanSlot => {
    if (slot.layer >= config.layers) {
      throw new PlanError(
        `${recipe.id}: slot ${index} names layer ${slot.layer}, but ${base.id} has layers 0 to ${config.layers - 1}`,
      );
    }
    const layerTensor = (name: keyof typeof LAYER_TENSORS) =>
      tensor(`blk.${slot.layer}.${name}.weight`, LAYER_TENSORS[name](config), `slot ${index}`);
    return {
      layer: slot.layer,
      attn: slot.attn
        ? {
            norm: layerTensor("attn_norm"),
            q: layerTensor("attn_q"),
            k: layerTensor("attn_k"),
            v: layerTensor("attn_v"),
            o: layerTensor("attn_output"),
            kv: kvSlots++,
          }
        : undefined,
      mlp: slot.mlp
        ? {
            norm: layerTensor("ffn_norm"),
            gate: layerTensor("ffn_gate"),
            up: layerTensor("ffn_up"),
            down: layerTensor("ffn_down"),
          }
        : undefined,
    };
  });

  const embedding = tensor("token_embd.weight", [config.vocab, config.hidden], "the embedding");
  const head = byName.has("output.weight")
    ? tensor("output.weight", [config.vocab, config.hidden], "the output head")
    : embedding;
  const outputNorm = tensor("output_norm.weight", norm(config), "the output norm");
  const read = [
    ...slots.flatMap((slot) => [slot.attn, slot.mlp].flatMap((part) => (part ? tensorsOf(part) : []))),
    outputNorm,
    head,
  ];
  const kvValues = kvSlots * 2 * config.kvHeads * config.headDim;
  return {
    id: recipe.id,
    fingerprint: [
      base.digest,
      ...slots.map((s) => `${s.layer}${s.attn ? "a" : ""}${s.mlp ? "m" : ""}`),
      ...(adapter ? [`+${adapter.digest}`] : []),
    ].join(" "),
    base,
    embedding,
    outputNorm,
    head,
    slots,
    kvSlots,
    contextLength: config.contextLength,
    adapter,
    costs: {
      weightBytes: sum(read.map((t) => t.bytes)) + (adapter?.imageBytes ?? 0),
      multiplyAdds: sum(read.filter((t) => t.rows > 1).map((t) => t.rows * t.cols)) + (adapter?.imageBytes ?? 0),
      kvValues,
      kvBytes: kvValues * 2,
    },
    onnx: undefined,
  };
}

/**
 * Plan of a model that a user brings as ONNX.
 * @param parts the built, content-addressed parts of its file, of which one token reads everything once
 * @throws PlanError when there is none
 */
export function compileOnnxPlan(recipe: OnnxRecipe, base: BaseModel, parts: readonly BuiltFile[]): Plan {
  if (parts.length === 0) throw new PlanError(`${recipe.id}: ${recipe.onnx.file} was not built`);
  const bytes = sum(parts.map((part) => part.bytes));
  const nothing = { name: "", digest: "", type: "f32", rows: 1, cols: 1, offset: 0, bytes: 4 } satisfies Tensor;
  return {
    id: recipe.id,
    fingerprint: `${base.digest} onnx ${parts.map((part) => part.sha256).join(" ")}`,
    base,
    embedding: nothing,
    outputNorm: nothing,
    head: nothing,
    slots: [],
    kvSlots: 0,
    contextLength: recipe.onnx.contextLength,
    adapter: undefined,
    costs: { weightBytes: bytes, multiplyAdds: Math.round(bytes / 4), kvValues: 0, kvBytes: 0 },
    onnx: parts,
  };
}

/**
 * Which of one plan's KV caches each KV cache of another would go on with: slots of the same layer and the same weights of K and V, in
 * order. Undefined when one of them has no counterpart.
 */
export function sharedKv(from: Plan, to: Plan): number[] | undefined {
  if (from.onnx || to.onnx || from.base.digest !== to.base.digest) return undefined;
  const caches = from.slots.flatMap(({ attn }) => attn ?? []);
  const shared: number[] = [];
  let next = 0;
  for (const { attn } of to.slots) {
    if (!attn) continue;
    while (
      next < caches.length &&
      !(caches[next]?.k.offset === attn.k.offset && caches[next]?.v.offset === attn.v.offset)
    )
      next++;
    const found = caches[next++];
    if (!found) return undefined;
    shared.push(found.kv);
  }
  return shared;
}

/** The tensors that a sublayer reads. */
export function tensorsOf(part: AttentionPlan | MlpPlan): Tensor[] {
  return Object.values(part).filter((value): value is Tensor => typeof value === "object");
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
