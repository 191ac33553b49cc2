// Adapters for tests: random factors, written as PEFT writes them, and plans that have them as the build makes them.
import { packAdapter } from "../../../build/adapter.ts";
import { mulberry32 } from "../../../evaluation/random.ts";
import { sha256 } from "../../../formats/digest.ts";
import type { BaseModel, ModelConfig } from "../../../src/variants/base.ts";
import type { Linear } from "../../../src/variants/layer-tensors.ts";
import { compilePlan, type Plan } from "../../../src/variants/plan.ts";
import { type SlotRecipe, slotRecipeSchema } from "../../../src/variants/recipe.ts";

export interface Pair {
  readonly name: string;
  readonly rank: number;
  /** `[rank, cols]` and `[rows, rank]`, row-major. */
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly cols: number;
  readonly rows: number;
}

/** `[rows, cols]` of a linear. */
function shapeOf(linear: Linear, { hidden, heads, kvHeads, headDim, ffn }: ModelConfig): readonly [number, number] {
  const shapes: Record<Linear, readonly [number, number]> = {
    q: [heads * headDim, hidden],
    k: [kvHeads * headDim, hidden],
    v: [kvHeads * headDim, hidden],
    o: [hidden, heads * headDim],
    gate: [ffn, hidden],
    up: [ffn, hidden],
    down: [hidden, ffn],
  };
  return shapes[linear];
}

export const pairName = (layer: number, linear: Linear): string =>
  `base_model.model.model.layers.${layer}.${["gate", "up", "down"].includes(linear) ? "mlp" : "self_attn"}.${linear}_proj`;

/** Random factors for these linears of these layers. */
export function randomPairs(
  config: ModelConfig,
  layers: readonly number[],
  linears: readonly Linear[],
  rank: number,
  seed: number,
): Pair[] {
  const random = mulberry32(seed);
  const values = (count: number) => Float32Array.from({ length: count }, () => (random() - 0.5) / Math.sqrt(rank));
  return layers.flatMap((layer) =>
    linears.map((linear) => {
      const [rows, cols] = shapeOf(linear, config);
      return { name: pairName(layer, linear), rank, rows, cols, a: values(rank * cols), b: values(rows * rank) };
    }),
  );
}

export type Dtype = "F32" | "BF16";

/** A safetensors file as PEFT writes it. BF16 keeps the upper half of the bits. */
export function safetensors(pairs: readonly Pair[], dtype: Dtype = "F32"): Uint8Array {
  const header: Record<string, object> = { __metadata__: { format: "pt" } };
  const chunks: Uint8Array[] = [];
  let end = 0;
  const add = (name: string, shape: number[], values: Float32Array): void => {
    const bits = new Uint32Array(values.slice().buffer);
    const bytes =
      dtype === "F32" ? new Uint8Array(bits.buffer) : new Uint8Array(Uint16Array.from(bits, (b) => b >>> 16).buffer);
    header[name] = { dtype, shape, data_offsets: [end, end + bytes.length] };
    chunks.push(bytes);
    end += bytes.length;
  };
  for (const { name, rank, rows, cols, a, b } of pairs) {
    add(`${name}.lora_A.weight`, [rank, cols], a);
    add(`${name}.lora_B.weight`, [rows, rank], b);
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = new Uint8Array(new BigUint64Array([BigInt(text.length)]).buffer);
  return Buffer.concat([length, text, ...chunks]);
}

/** A recipe over a tiny base with an adapter. */
export const adaptedRecipe = (
  numbering: "layers" | "slots" = "layers",
  slots: object[] = [{ layer: 0 }, { layer: 2 }, { layer: 0 }],
): SlotRecipe =>
  slotRecipeSchema.parse({
    id: "adapted",
    base: "tiny",
    title: "Adapted",
    origin: { source: "a test", section: "none" },
    status: "research",
    slots,
    adapter: { file: "models/adapters/random.safetensors", numbering },
  });

export interface AdaptedOptions {
  readonly base: BaseModel;
  readonly pairs: readonly Pair[];
  readonly scale: number;
  readonly recipe?: SlotRecipe;
  readonly dtype?: Dtype;
  /** Receives the adapter's image under its file's name. */
  readonly files: Map<string, Uint8Array>;
}

/** A plan with the adapter as the build makes it. */
export function adaptedPlan({
  base,
  pairs,
  scale,
  recipe = adaptedRecipe(),
  dtype = "F32",
  files,
}: AdaptedOptions): Plan {
  const source = { file: "random.safetensors", bytes: safetensors(pairs, dtype), scaleOf: () => scale };
  const { adapter, image } = packAdapter(source, recipe, base);
  const file = sha256(image);
  files.set(file, image);
  return compilePlan(recipe, base, { ...adapter, parts: [{ file, sha256: file, bytes: image.length }] });
}
