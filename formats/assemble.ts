// What all readers end in: a checkpoint whose tensors are checked against its shape, named by a digest, and read when they are wanted.
import { createHash } from "node:crypto";
import type { Checkpoint, Matrix, ModelShape, StoredTensor, TokenizerSource } from "./checkpoint.ts";
import { UserError } from "./error.ts";
import { dequantizeBlocks } from "./gguf/dequantize.ts";
import { notFinite } from "./gguf/finite.ts";
import { layerShapes, type TensorShape } from "./tensors.ts";

export interface Parts {
  readonly name: string;
  readonly shape: ModelShape;
  readonly tensors: readonly StoredTensor[];
  readonly tokenizer: TokenizerSource;
  /** A tensor's bytes as stored, q and k rows in Hugging Face's order. */
  readStored(tensor: StoredTensor): Promise<Uint8Array>;
  close(): Promise<void>;
}

/**
 * Reads every tensor once, for the digest: the same weights have the same digest whatever file they lie in.
 * @throws UserError naming the file and the tensor that is missing, not LLaMA's, of another shape, or holds NaN or infinity
 */
export async function assemble({ name, shape, tensors, tokenizer, readStored, close }: Parts): Promise<Checkpoint> {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const stored = (wanted: string): StoredTensor => {
    const tensor = byName.get(wanted);
    if (!tensor) throw new UserError(`${name}: tensor ${wanted} is missing`);
    return tensor;
  };
  try {
    checkTensors(name, shape, byName);
    const hash = createHash("sha256").update(JSON.stringify(shape));
    for (const tensor of [...tensors].sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const { name: own, type, rows, cols } = tensor;
      const data = await readStored(tensor);
      const problem = notFinite(tensor, data);
      if (problem) throw new UserError(`${name}: tensor ${own} ${problem}: the file is damaged`);
      hash.update(JSON.stringify([own, type, rows, cols])).update(data);
    }
    return {
      name,
      digest: hash.digest("hex"),
      shape,
      tensors: byName,
      tokenizer,
      async read(wanted): Promise<Matrix> {
        const tensor = stored(wanted);
        const { type, rows, cols } = tensor;
        const values = dequantizeBlocks(type, await readStored(tensor));
        return { rows, cols, values };
      },
      readStored: async (wanted) => readStored(stored(wanted)),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function checkTensors(name: string, shape: ModelShape, tensors: ReadonlyMap<string, StoredTensor>): void {
  const { hidden, vocab } = shape;
  const needed: TensorShape[] = [
    ["token_embd.weight", vocab, hidden],
    ["output_norm.weight", 1, hidden],
    ...shape.layers.flatMap((layer, i) =>
      layerShapes(layer, shape).map(([tensor, rows, cols]): TensorShape => [`blk.${i}.${tensor}`, rows, cols]),
    ),
  ];
  const optional: TensorShape[] = [
    ["output.weight", vocab, hidden],
    ...shape.layers.flatMap(({ heads, ffn }, i): TensorShape[] => [
      ...(heads > 0 ? [[`blk.${i}.attn_output.bias`, 1, hidden] as const] : []),
      ...(ffn > 0 ? [[`blk.${i}.ffn_down.bias`, 1, hidden] as const] : []),
    ]),
  ];
  for (const [tensor, rows, cols] of [...needed, ...optional]) {
    const found = tensors.get(tensor);
    if (found && (found.rows !== rows || found.cols !== cols)) {
      throw new UserError(
        `${name}: tensor ${tensor} is [${found.rows}, ${found.cols}], but the model's shape wants [${rows}, ${cols}]`,
      );
    }
  }
  const missing = needed.find(([tensor]) => !tensors.has(tensor));
  if (missing) throw new UserError(`${name}: tensor ${missing[0]} is missing`);
  const known = new Set([...needed, ...optional].map(([tensor]) => tensor));
  const unknown = [...tensors.keys()].find((tensor) => !known.has(tensor));
  if (unknown) throw new UserError(`${name}: tensor ${unknown} is none of a LLaMA decoder's`);
}
