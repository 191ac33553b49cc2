// Compiles a recipe into a plan: the tensors that each slot reads and what a token costs. Pure; runs at build time and in the Workers.
import type { Adapter } from "./adapter.ts";
import type { BaseModel, BuiltFile, Tensor } from "./base.ts";
import {
  type AttentionTensors,
  attentionTensors,
  type LayerReader,
  type MlpTensors,
  mlpTensors,
  parseTensorName,
} from "./layer-tensors.ts";
import type { OnnxRecipe, SlotRecipe } from "./recipe.ts";

/** Highest rank of an adapter. */
export const MAX_RANK = 64;

export interface AttentionPlan extends AttentionTensors {
  /** Index of this slot's KV cache among the plan's. */
  readonly kv: number;
}

export type MlpPlan = MlpTensors;

export interface PlanSlot {
  readonly layer: number;
  readonly attn: AttentionPlan | undefined;
  readonly mlp: MlpPlan | undefined;
}

export interface Costs {
  /** Bytes of weights read for one token (repeated slots count each time; of the embedding, the output head). */
  readonly weightBytes: number;
  /** The same with as many bits a weight as its method counts, where it stores them in a wider container. */
  readonly nominalBytes: number;
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

/**
 * @param adapter the recipe's adapter as built
 * @throws PlanError naming the recipe, the slot and the layer or tensor that is not there or has another shape
 */
export function compilePlan(recipe: SlotRecipe, base: BaseModel, adapter?: Adapter): Plan {
  if (recipe.adapter && !adapter) throw new PlanError(`${recipe.id}: ${recipe.adapter.file} was not built`);
  const { config } = base;
  const byName = new Map(base.tensors.map((tensor) => [tensor.name, tensor]));
  const fail = (where: string, name: string, problem: string): never => {
    throw new PlanError(`${recipe.id}: ${where} needs ${name} ${problem} (in ${base.id})`);
  };
  const tensor = (name: string, [rows, cols]: [number, number], where: string): Tensor => {
    const found = byName.get(name) ?? fail(where, name, "which is not there");
    if (found.rows === rows && found.cols === cols) return found;
    return fail(where, name, `as [${rows}, ${cols}], but it is [${found.rows}, ${found.cols}]`);
  };

  let kvSlots = 0;
  const slots = recipe.slots.map((slot, index): PlanSlot => {
    if (slot.layer >= config.layers) {
      throw new PlanError(
        `${recipe.id}: slot ${index} names layer ${slot.layer}, but ${base.id} has layers 0 to ${config.layers - 1}`,
      );
    }
    const layer: LayerReader = {
      find: (name) => byName.get(`blk.${slot.layer}.${name}`),
      fail: (name, problem) => fail(`slot ${index}`, `blk.${slot.layer}.${name}`, problem),
    };
    return {
      layer: slot.layer,
      attn: slot.attn ? { ...attentionTensors(layer, config), kv: kvSlots++ } : undefined,
      mlp: slot.mlp ? mlpTensors(layer, config) : undefined,
    };
  });
  checkBiases(recipe);

  const embedding = tensor("token_embd.weight", [config.vocab, config.hidden], "the embedding");
  const head = byName.has("output.weight")
    ? tensor("output.weight", [config.vocab, config.hidden], "the output head")
    : embedding;
  const outputNorm = tensor("output_norm.weight", [1, config.hidden], "the output norm");
  const read = [
    ...slots.flatMap((slot) => [slot.attn, slot.mlp].flatMap((part) => (part ? tensorsOf(part) : []))),
    outputNorm,
    head,
  ];
  const kvValues = sum(slots.map(({ attn }) => (attn ? attn.k.rows + attn.v.rows : 0)));
  const adapterBytes = adapter?.imageBytes ?? 0;
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
      weightBytes: sum(read.map((t) => t.bytes)) + adapterBytes,
      nominalBytes: sum(read.map((t) => nominalBytes(t, recipe))) + adapterBytes,
      multiplyAdds: sum(read.filter((t) => t.rows > 1).map((t) => t.rows * t.cols)) + adapterBytes,
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
    costs: { weightBytes: bytes, nominalBytes: bytes, multiplyAdds: Math.round(bytes / 4), kvValues: 0, kvBytes: 0 },
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

/** @throws PlanError when a bias of the recipe is of a sublayer that no slot runs */
function checkBiases({ id, slots, tensors = {} }: SlotRecipe): void {
  for (const name of Object.keys(tensors)) {
    const { layer, biasOf } = parseTensorName(name) ?? {};
    if (!biasOf || slots.some((slot) => slot.layer === layer && slot[biasOf])) continue;
    throw new PlanError(`${id}: ${name} is the bias of a sublayer that no slot runs: leave it out of "tensors"`);
  }
}

function nominalBytes({ name, rows, cols, bytes }: Tensor, { tensors }: SlotRecipe): number {
  const bits = tensors?.[name]?.bits;
  return bits === undefined ? bytes : Math.ceil((rows * cols * bits) / 8);
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
