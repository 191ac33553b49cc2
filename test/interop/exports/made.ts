// Variants that tests export: written as the toolkit writes them, with what they change in fp32.

import type { CheckpointTensor } from "../../../build/checkpoint.ts";
import type { ChangedTensor } from "../../../compress/artifact.ts";
import { writeArtifact } from "../../../compress/store.ts";
import type { Checkpoint, Matrix } from "../../../formats/checkpoint.ts";
import { dequantizeBlocks } from "../../../formats/gguf/dequantize.ts";
import type { LowRankLinear } from "../../../formats/peft/write.ts";
import { type Linear, linearTensor } from "../../../src/variants/layer-tensors.ts";
import type { Slot } from "../../../src/variants/recipe.ts";
import { recipeOf } from "../../compress/recipe.ts";
import { random } from "../../engine/onnx/tiny.ts";
import { firstCols, firstRows } from "../../support/slices.ts";

/** Matrices by name. */
export type Changes = ReadonlyMap<string, Matrix>;

const write = (base: Checkpoint, id: string, slots: Slot[], tensors: ChangedTensor[], linears?: LowRankLinear[]) =>
  writeArtifact({
    recipe: recipeOf(slots, { id, base: "smollm2-135m-instruct" }),
    tensors,
    ...(linears ? { adapter: { linears } } : {}),
    provenance: { method: "slices", arguments: {}, checkpoint: base.digest, version: "1" },
  });

/** Keeps the first KV heads, with their query heads, and the first channels. */
export async function makeNarrow(
  base: Checkpoint,
  id: string,
  slots: Slot[],
  sizes: (layer: number) => { kvHeads: number; ffn: number; bias?: boolean },
): Promise<Changes> {
  const tensors: ChangedTensor[] = [];
  for (const { layer } of slots) {
    const { kvHeads, ffn, bias } = sizes(layer);
    const stored = async (name: string) => {
      const tensor = base.tensors.get(`blk.${layer}.${name}.weight`);
      return { ...tensor, data: await base.readStored(tensor?.name ?? "") } as CheckpointTensor;
    };
    tensors.push(
      firstRows(await stored("attn_q"), kvHeads * 3 * 64),
      firstRows(await stored("attn_k"), kvHeads * 64),
      firstRows(await stored("attn_v"), kvHeads * 64),
      firstCols(await stored("attn_output"), kvHeads * 3 * 64),
      firstRows(await stored("ffn_gate"), ffn),
      firstRows(await stored("ffn_up"), ffn),
      firstCols(await stored("ffn_down"), ffn),
    );
    const values = Float32Array.from({ length: 576 }, random(layer));
    const data = new Uint8Array(values.buffer);
    for (const name of bias ? ["attn_output", "ffn_down"] : []) {
      tensors.push({ name: `blk.${layer}.${name}.bias`, type: "f32", rows: 1, cols: 576, data });
    }
  }
  await write(base, id, slots, tensors);
  const matrices = tensors.map(({ name, type, rows, cols, data }): [string, Matrix] => [
    name,
    { rows, cols, values: dequantizeBlocks(type, data) },
  ]);
  return new Map(matrices);
}

/** A random adapter; the changes are the weights with it added. */
export async function makeAdapted(
  base: Checkpoint,
  id: string,
  slots: Slot[],
  adapted: readonly { readonly layer: number; readonly linear: Linear; readonly rank: number }[],
  scale = 1,
): Promise<Changes> {
  const next = random(7);
  const merged = new Map<string, Matrix>();
  const linears: LowRankLinear[] = [];
  for (const { layer, linear, rank } of adapted) {
    const name = linearTensor(layer, linear);
    const { rows, cols, values } = await base.read(name);
    const a = Float32Array.from({ length: rank * cols }, () => 0.1 * next());
    const b = Float32Array.from({ length: rows * rank }, () => scale * next());
    const sum = values.map((value, i) => {
      const [row, col] = [Math.floor(i / cols), i % cols];
      let changed = value;
      for (let r = 0; r < rank; r++) changed += (b[rank * row + r] as number) * (a[r * cols + col] as number);
      return changed;
    });
    linears.push({ layer, linear, rows, cols, rank, a, b });
    merged.set(name, { rows, cols, values: sum });
  }
  await write(base, id, slots, [], linears);
  return merged;
}
