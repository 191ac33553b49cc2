// The shipped checkpoint, read from what the build made of it.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Checkpoint, StoredTensor } from "../../compress/checkpoint.ts";
import { weightsDir } from "../../scripts/build/paths.ts";
import { dequantize } from "../../src/engine/weights.ts";
import { readCatalogue } from "../engine/onnx/checkpoint.ts";

export async function openShipped(): Promise<Checkpoint> {
  const base = [...(await readCatalogue()).values()][0]!.plan.base;
  const image = Buffer.concat(await Promise.all(base.parts.map(({ file }) => readFile(join(weightsDir, file)))));
  const { config } = base;
  const tensors = new Map(base.tensors.map((tensor) => [tensor.name, tensor]));
  return {
    name: base.id,
    digest: base.digest,
    shape: {
      ...config,
      ropeScaling: undefined,
      layers: Array.from({ length: config.layers }, () => ({
        heads: config.heads,
        kvHeads: config.kvHeads,
        ffn: config.ffn,
      })),
    },
    tensors: tensors as ReadonlyMap<string, StoredTensor>,
    tokenizer: { kind: "files", files: new Map() },
    async read(name) {
      const tensor = tensors.get(name)!;
      return { rows: tensor.rows, cols: tensor.cols, values: dequantize(tensor, image) };
    },
    readStored: () => Promise.reject(new Error("not needed")),
    close: async () => {},
  };
}
