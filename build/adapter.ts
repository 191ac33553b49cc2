// Packs a PEFT adapter for the engine: both factors of each adapted linear at 8 bits, ranks filled up to blocks of 32.
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { sha256 } from "../formats/digest.ts";
import { peftConfigSchema, scaleOf } from "../formats/peft/config.ts";
import { type FactorPair, readPairs } from "../formats/peft/factors.ts";
import type { NamedTensor } from "../formats/safetensors.ts";
import type { BaseModel, SlotRecipe } from "../src/variants/index.ts";
import { type Adapter, linearTensor, MAX_RANK, sublayerOf } from "../src/variants/index.ts";
import { packQ8, quantizeQ8 } from "./kernel-layout.ts";
import { recipeFile } from "./paths.ts";

export interface AdapterSource {
  /** Path, for messages. */
  readonly file: string;
  /** The safetensors file. */
  readonly bytes: Uint8Array;
  /** Factor on B A x. @throws Error naming what of the configuration does not fit these factors */
  scaleOf(pair: FactorPair): number;
}

/** An adapter without its parts, and the image that they are cut from. */
export interface PackedAdapter {
  readonly adapter: Omit<Adapter, "parts">;
  readonly image: Uint8Array;
}

/**
 * A recipe's adapter file, with the scale that the recipe or the adapter_config.json beside it gives.
 * @throws Error that names the file that is missing, or the field of the configuration that there is no arithmetic for
 */
export async function readAdapter(
  id: string,
  { file, scale }: NonNullable<SlotRecipe["adapter"]>,
): Promise<AdapterSource> {
  const bytes = await readFile(recipeFile(file)).catch(() => {
    throw new Error(`${id}: ${file} is missing`);
  });
  if (scale !== undefined) return { file, bytes, scaleOf: () => scale };
  const configFile = join(dirname(file), "adapter_config.json");
  const text = await readFile(recipeFile(configFile), "utf8").catch(() => {
    throw new Error(`${id}: ${configFile} is missing: put it beside the adapter or give the recipe a scale`);
  });
  const config = peftConfigSchema.safeParse(JSON.parse(text));
  if (!config.success) throw new Error(`${id}: ${configFile} is not as expected:\n${z.prettifyError(config.error)}`);
  const fail = (problem: string): Error => new Error(`${id}: adapter ${file}: ${problem}`);
  return {
    file,
    bytes,
    scaleOf: ({ number, linear, a }) => scaleOf(config.data, { number, linear, rank: a.shape[0] ?? 0 }, fail),
  };
}

/** @throws Error that names the file and the tensor that is missing, of another shape, or of too high a rank */
export function packAdapter(
  { file, bytes, scaleOf }: AdapterSource,
  recipe: SlotRecipe,
  base: BaseModel,
): PackedAdapter {
  const fail = (problem: string): Error => new Error(`${recipe.id}: adapter ${file}: ${problem}`);
  const byLayer = recipe.adapter?.numbering !== "slots";
  const chunks: Uint8Array[] = [];
  let end = 0;
  const add = (chunk: Uint8Array): number => {
    chunks.push(chunk);
    end += chunk.length;
    return end - chunk.length;
  };
  const linears: Adapter["linears"] = [];
  const unit = byLayer ? "layer" : "slot";
  for (const pair of readPairs(bytes, fail, unit)) {
    const { number, linear, a, b } = pair;
    const where = `${unit} ${number} ${linear}_proj`;
    const slots = recipe.slots.flatMap((slot, index) => {
      return slot[sublayerOf(linear)] && (byLayer ? slot.layer : index) === number ? [index] : [];
    });
    if (slots.length === 0) {
      if (byLayer && number < base.config.layers) continue;
      throw fail(`${where} is not in the recipe`);
    }
    const layer = recipe.slots[slots[0] as number]?.layer;
    const name = linearTensor(layer as number, linear);
    const target = base.tensors.find((tensor) => tensor.name === name);
    if (!target) throw fail(`${where} needs tensor ${name}, which ${base.id} does not have`);
    const rank = a.shape[0] ?? 0;
    if (rank < 1 || rank > MAX_RANK) throw fail(`${where} has rank ${rank}; the engine takes 1 to ${MAX_RANK}`);
    const expect = (side: string, { shape, values }: NamedTensor, rows: number, cols: number): void => {
      if (shape.length !== 2 || shape[0] !== rows || shape[1] !== cols) {
        throw fail(`${where}: lora_${side} is [${shape}], it must be [${rows}, ${cols}]`);
      }
      const at = values.findIndex((value) => !Number.isFinite(value));
      if (at >= 0) throw fail(`${where}: lora_${side} is ${values[at]} at [${Math.floor(at / cols)}, ${at % cols}]`);
    };
    expect("A", a, rank, target.cols);
    expect("B", b, target.rows, rank);
    const wide = Math.ceil(rank / 32) * 32;
    const scale = scaleOf(pair);
    const packedA = quantizeQ8(a.values, rank, target.cols, target.cols);
    const packedB = quantizeQ8(b.values, target.rows, rank, wide);
    const place = {
      a: add(packQ8(packedA.data, wide, target.cols)),
      b: add(packQ8(packedB.data, target.rows, wide)),
    };
    for (const slot of slots) {
      linears.push({ slot, linear, rank, scale: scale * packedA.factor * packedB.factor, ...place });
    }
  }
  if (linears.length === 0) throw fail("it changes nothing in the recipe");
  const image = Buffer.concat(chunks);
  const digest = sha256(JSON.stringify([sha256(image), linears]));
  return { adapter: { digest, imageBytes: image.length, linears }, image };
}
