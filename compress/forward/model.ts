// A checkpoint's weights for passes over and over: read once where they fit into memory, a layer at a time where they don't.
import type { Checkpoint, Matrix, ModelShape } from "../../formats/checkpoint.ts";
import { type LayerWeights, readLayer } from "./layer-weights.ts";

export interface Model {
  readonly shape: ModelShape;
  layer(index: number): Promise<LayerWeights>;
  embedding(): Promise<Matrix>;
  /** Final norm and output head. */
  head(): Promise<{ readonly norm: Matrix; readonly head: Matrix }>;
}

/** fp32 weights that are kept; some SmolLM2-360M. */
const KEPT_BYTES = 1.5 * 2 ** 30;

/** @param keptBytes bytes of fp32 weights to keep in memory; a larger model is read again with every pass */
export function openModel(checkpoint: Checkpoint, keptBytes = KEPT_BYTES): Model {
  const bytes = [...checkpoint.tensors.values()].reduce((sum, { rows, cols }) => sum + 4 * rows * cols, 0);
  const kept = new Map<string, Promise<unknown>>();
  const keep = <T>(key: string, read: () => Promise<T>): Promise<T> => {
    const found = (kept.get(key) as Promise<T> | undefined) ?? read();
    if (bytes <= keptBytes) kept.set(key, found);
    return found;
  };
  const matrix = (name: string) => keep(name, () => checkpoint.read(name));
  return {
    shape: checkpoint.shape,
    layer: (index) => keep(`layer ${index}`, () => readLayer(checkpoint, index)),
    embedding: () => matrix("token_embd.weight"),
    head: async () => ({
      norm: await matrix("output_norm.weight"),
      head: await matrix(checkpoint.tensors.has("output.weight") ? "output.weight" : "token_embd.weight"),
    }),
  };
}
