// The fp32 weights of one layer, as the forward pass takes them: what a method changes is put in place of what was read.
import type { Checkpoint, Matrix } from "../../formats/checkpoint.ts";
import { UserError } from "../../formats/error.ts";

/** Heads are told by the rows of q and k. q and k rows are in Hugging Face's order. */
export interface AttentionWeights {
  readonly norm: Matrix;
  /** `[heads * headDim, hidden]` */
  readonly q: Matrix;
  /** `[kvHeads * headDim, hidden]` */
  readonly k: Matrix;
  readonly v: Matrix;
  /** `[hidden, heads * headDim]` */
  readonly o: Matrix;
  /** Added to what o gives, `[1, hidden]`. */
  readonly bias?: Matrix | undefined;
}

export interface MlpWeights {
  readonly norm: Matrix;
  /** `[ffn, hidden]` */
  readonly gate: Matrix;
  readonly up: Matrix;
  /** `[hidden, ffn]` */
  readonly down: Matrix;
  /** Added to what down gives, `[1, hidden]`. */
  readonly bias?: Matrix | undefined;
}

/** A sublayer that the checkpoint lacks is undefined. */
export interface LayerWeights {
  readonly attn: AttentionWeights | undefined;
  readonly mlp: MlpWeights | undefined;
}

/** @throws UserError naming a layer that is not there, or a tensor that is missing or damaged */
export async function readLayer(checkpoint: Checkpoint, layer: number): Promise<LayerWeights> {
  const shape = checkpoint.shape.layers[layer];
  if (!shape) {
    throw new UserError(`${checkpoint.name} has layers 0 to ${checkpoint.shape.layers.length - 1}, and no ${layer}`);
  }
  const read = (name: string) => checkpoint.read(`blk.${layer}.${name}.weight`);
  const bias = async (name: string) => {
    const full = `blk.${layer}.${name}.bias`;
    return checkpoint.tensors.has(full) ? checkpoint.read(full) : undefined;
  };
  return {
    attn:
      shape.heads === 0
        ? undefined
        : {
            norm: await read("attn_norm"),
            q: await read("attn_q"),
            k: await read("attn_k"),
            v: await read("attn_v"),
            o: await read("attn_output"),
            bias: await bias("attn_output"),
          },
    mlp:
      shape.ffn === 0
        ? undefined
        : {
            norm: await read("ffn_norm"),
            gate: await read("ffn_gate"),
            up: await read("ffn_up"),
            down: await read("ffn_down"),
            bias: await bias("ffn_down"),
          },
  };
}
