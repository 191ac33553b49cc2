// A variant as what it computes: its slots one after another, each with the tensors that it reads, changed ones and adapters included.
import { readAdapter } from "../build/adapter.ts";
import { readAllRecipes } from "../build/catalogue.ts";
import type { Checkpoint, LayerShape, StoredTensor } from "../formats/checkpoint.ts";
import { UserError } from "../formats/error.ts";
import { dequantizeBlocks } from "../formats/gguf/dequantize.ts";
import { readPairs } from "../formats/peft/factors.ts";
import type { SlotRecipe } from "../src/variants/index.ts";
import { linearWeight, SUBLAYER_TENSORS } from "../src/variants/index.ts";
import { openModelOf } from "./open.ts";
import { encodeBlocks } from "./quantize/encode.ts";
import { readChange } from "./store.ts";

export interface StackTensor extends StoredTensor {
  /** True where an adapter was added, so that its bytes are nobody's but this tensor's. */
  readonly merged: boolean;
  /** As stored, q and k rows in Hugging Face's order. */
  bytes(): Promise<Uint8Array>;
}

/** A slot's tensors by what they are called within a layer, as `attn_q.weight`. A sublayer that it lacks has 0 heads or an ffn of 0. */
export interface StackSlot {
  readonly layer: number;
  readonly shape: LayerShape;
  readonly tensors: ReadonlyMap<string, StackTensor>;
}

export interface Stack {
  readonly recipe: SlotRecipe;
  readonly base: Checkpoint;
  readonly slots: readonly StackSlot[];
  readonly embedding: StackTensor;
  readonly outputNorm: StackTensor;
  /** Absent: the head is the embedding. */
  readonly head: StackTensor | undefined;
}

/**
 * A variant's recipe, of those that come with the project or of the artifacts.
 * @throws UserError when there is none of this id, or it is an ONNX file
 */
export async function findRecipe(id: string): Promise<SlotRecipe> {
  const recipes = await readAllRecipes().catch((error: Error) => {
    throw new UserError(error.message);
  });
  const recipe = recipes.find((recipe) => recipe.id === id);
  if (!recipe) throw new UserError(`no variant ${id}; there are ${recipes.map((recipe) => recipe.id).join(", ")}`);
  if (!("slots" in recipe)) throw new UserError(`${id} is an ONNX file, which has no layers to tell of`);
  return recipe;
}

/**
 * Opens a recipe's base too.
 * @throws UserError naming the tensor, slot or file at fault
 */
export const openStack = async (recipe: SlotRecipe, options: StackOptions = {}): Promise<Stack> =>
  stackOf(recipe, await openModelOf(recipe), options);

export interface StackOptions {
  /** Adds the adapter to the weights. Default: true. */
  readonly adapted?: boolean | undefined;
}

/** The same, of a base that is open. */
export async function stackOf(
  recipe: SlotRecipe,
  base: Checkpoint,
  { adapted = true }: StackOptions = {},
): Promise<Stack> {
  const changes = recipe.tensors ?? {};
  const find = (name: string): StackTensor | undefined => {
    const change = changes[name];
    if (change) return { name, ...change, merged: false, bytes: () => readChange({ name, ...change }) };
    const stored = base.tensors.get(name);
    return stored && { ...stored, merged: false, bytes: () => base.readStored(name) };
  };
  const deltas = adapted && recipe.adapter ? await readDeltas(recipe, recipe.adapter) : new Map();
  const slots = recipe.slots.map(({ layer, attn, mlp }, index): StackSlot => {
    if (!base.shape.layers[layer]) {
      throw new UserError(
        `${recipe.id}: slot ${index} names layer ${layer}; ${base.name} has 0 to ${base.shape.layers.length - 1}`,
      );
    }
    const names = [...(attn ? SUBLAYER_TENSORS.attn : []), ...(mlp ? SUBLAYER_TENSORS.mlp : [])];
    const tensors = new Map<string, StackTensor>();
    for (const name of names) {
      const found = find(`blk.${layer}.${name}`);
      const delta = deltas.get(`${index} ${name}`);
      if (found) tensors.set(name, delta ? merge(found, delta) : found);
    }
    return { layer, tensors, shape: shapeOf(tensors, base.shape.headDim, `${recipe.id}: slot ${index}`) };
  });
  const embedding = find("token_embd.weight");
  const outputNorm = find("output_norm.weight");
  if (!embedding || !outputNorm) throw new UserError(`${base.name} has no embedding or no output norm`);
  return { recipe, base, slots, embedding, outputNorm, head: find("output.weight") };
}

/** Heads and channels that a slot's tensors have. */
function shapeOf(tensors: ReadonlyMap<string, StackTensor>, headDim: number, where: string): LayerShape {
  const size = (name: string, side: "rows" | "cols"): number => tensors.get(name)?.[side] ?? 0;
  const [heads, kvHeads] = [size("attn_q.weight", "rows") / headDim, size("attn_k.weight", "rows") / headDim];
  const ffn = size("ffn_gate.weight", "rows");
  const fits =
    Number.isInteger(heads) &&
    Number.isInteger(kvHeads) &&
    (heads === 0 ? kvHeads === 0 : heads % kvHeads === 0) &&
    size("attn_v.weight", "rows") === kvHeads * headDim &&
    size("attn_output.weight", "cols") === heads * headDim &&
    size("ffn_up.weight", "rows") === ffn &&
    size("ffn_down.weight", "cols") === ffn;
  if (!fits) throw new UserError(`${where}: the shapes of its tensors do not fit each other`);
  return { heads, kvHeads, ffn };
}

interface Delta {
  readonly rank: number;
  readonly scale: number;
  /** `[rank, cols]` and `[rows, rank]` */
  readonly a: Float32Array;
  readonly b: Float32Array;
}

/** By slot and tensor, as `3 attn_q.weight`. */
async function readDeltas(
  recipe: SlotRecipe,
  adapter: NonNullable<SlotRecipe["adapter"]>,
): Promise<Map<string, Delta>> {
  const { file, bytes, scaleOf } = await readAdapter(recipe.id, adapter).catch((error: Error) => {
    throw new UserError(error.message);
  });
  const fail = (problem: string): Error => new UserError(`${recipe.id}: adapter ${file}: ${problem}`);
  const deltas = new Map<string, Delta>();
  for (const pair of readPairs(bytes, fail)) {
    const { number, linear, a, b } = pair;
    const delta = { rank: a.shape[0] ?? 0, scale: scaleOf(pair), a: a.values, b: b.values };
    for (const [index, { layer }] of recipe.slots.entries()) {
      const counted = adapter.numbering === "slots" ? index : layer;
      if (counted === number) deltas.set(`${index} ${linearWeight(linear)}`, delta);
    }
  }
  return deltas;
}

/** W + scale B A, in fp32. */
function merge(tensor: StackTensor, { rank, scale, a, b }: Delta): StackTensor {
  const { name, rows, cols } = tensor;
  if (a.length !== rank * cols || b.length !== rows * rank) {
    throw new UserError(`an adapter's factors for ${name} do not fit its [${rows}, ${cols}]`);
  }
  return {
    name,
    rows,
    cols,
    type: "f32",
    merged: true,
    async bytes() {
      const values = dequantizeBlocks(tensor.type, await tensor.bytes());
      const sums = new Float64Array(cols);
      for (let row = 0; row < rows; row++) {
        sums.fill(0);
        for (let r = 0; r < rank; r++) {
          const factor = scale * (b[row * rank + r] as number);
          for (let col = 0; col < cols; col++)
            sums[col] = (sums[col] as number) + factor * (a[r * cols + col] as number);
        }
        for (let col = 0; col < cols; col++)
          values[row * cols + col] = (values[row * cols + col] as number) + (sums[col] as number);
      }
      return encodeBlocks("f32", values, cols);
    },
  };
}
