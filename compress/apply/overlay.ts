// A checkpoint with some tensors in place of its own: what a variant's changes make of it.
import { createHash } from "node:crypto";
import { type Layers, staysWith } from "../../build/layers.ts";
import type { Checkpoint, LayerShape, Matrix } from "../../formats/checkpoint.ts";
import { sha256 } from "../../formats/digest.ts";
import { dequantizeBlocks } from "../../formats/gguf/dequantize.ts";
import type { ChangedTensor } from "../artifact.ts";

export const matrixOf = ({ type, rows, cols, data }: ChangedTensor): Matrix => ({
  rows,
  cols,
  values: dequantizeBlocks(type, data),
});

/** Reads changed tensors from memory, and the others from the checkpoint. Its layers may be narrower than the checkpoint's. */
export function withChanges(checkpoint: Checkpoint, changes: readonly ChangedTensor[]): Checkpoint {
  if (changes.length === 0) return checkpoint;
  const changed = new Map(changes.map((change) => [change.name, change]));
  const tensors = new Map(checkpoint.tensors);
  for (const { name, type, rows, cols } of changes) tensors.set(name, { name, type, rows, cols });
  const { headDim } = checkpoint.shape;
  const rowsOf = (name: string): number => tensors.get(name)?.rows ?? 0;
  const layers = checkpoint.shape.layers.map((layer, index): LayerShape => {
    const heads = layer.heads && rowsOf(`blk.${index}.attn_q.weight`) / headDim;
    const kvHeads = layer.heads && rowsOf(`blk.${index}.attn_k.weight`) / headDim;
    return { heads, kvHeads, ffn: layer.ffn && rowsOf(`blk.${index}.ffn_gate.weight`) };
  });
  const hash = createHash("sha256").update(checkpoint.digest);
  for (const { name, data } of changes) hash.update(`\n${name} `).update(sha256(data));
  return {
    ...checkpoint,
    digest: hash.digest("hex"),
    shape: { ...checkpoint.shape, layers },
    tensors,
    read: async (name) => {
      const change = changed.get(name);
      return change ? matrixOf(change) : checkpoint.read(name);
    },
    readStored: async (name) => changed.get(name)?.data ?? checkpoint.readStored(name),
    close: () => checkpoint.close(),
  };
}

/** The checkpoint with other layers in place of its own. Sublayers that these lack have 0 heads or an ffn of 0. */
export function withLayers(checkpoint: Checkpoint, layers: Layers): Checkpoint {
  const stay = [...checkpoint.tensors].filter(([name]) => staysWith(layers, name));
  const empty: LayerShape = { heads: 1, kvHeads: 1, ffn: 1 };
  const shape = { ...checkpoint.shape, layers: Array.from({ length: layers.count }, () => empty) };
  return withChanges({ ...checkpoint, shape, tensors: new Map(stay) }, layers.tensors);
}
