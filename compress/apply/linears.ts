// The linears of a layer: their tensors' names, which input each has, and weights with some of them replaced.

import type { Matrix } from "../../formats/checkpoint.ts";
import type { LowRankLinear } from "../../formats/peft/write.ts";
import { LINEARS, type Linear, linearTensor } from "../../src/variants/index.ts";
import type { ChangedTensor } from "../artifact.ts";
import type { LayerWeights } from "../forward/layer-weights.ts";
import type { Input } from "../moments.ts";
import { matrixOf } from "./overlay.ts";

/** The input that a linear shares with others. */
const INPUT_OF: Readonly<Record<Linear, Input>> = {
  q: "qkv",
  k: "qkv",
  v: "qkv",
  o: "o",
  gate: "gateUp",
  up: "gateUp",
  down: "down",
};

/** Linears of an input, in the order of `LINEARS`. */
export const linearsOf = (input: Input): Linear[] => LINEARS.filter((linear) => INPUT_OF[linear] === input);

export function linearOf({ attn, mlp }: LayerWeights, linear: Linear): Matrix | undefined {
  if (linear === "gate" || linear === "up" || linear === "down") return mlp?.[linear];
  return attn?.[linear];
}

/** A layer's weights with changes of its linears and biases in place. */
export function replaced(weights: LayerWeights, layer: number, changes: readonly ChangedTensor[]): LayerWeights {
  const byName = new Map(changes.map((change) => [change.name, change]));
  const given = (name: string): Matrix | undefined => {
    const change = byName.get(name);
    return change && matrixOf(change);
  };
  const weight = (linear: Linear, before: Matrix): Matrix => given(linearTensor(layer, linear)) ?? before;
  const { attn, mlp } = weights;
  return {
    attn: attn && {
      norm: attn.norm,
      q: weight("q", attn.q),
      k: weight("k", attn.k),
      v: weight("v", attn.v),
      o: weight("o", attn.o),
      bias: given(`blk.${layer}.attn_output.bias`) ?? attn.bias,
    },
    mlp: mlp && {
      norm: mlp.norm,
      gate: weight("gate", mlp.gate),
      up: weight("up", mlp.up),
      down: weight("down", mlp.down),
      bias: given(`blk.${layer}.ffn_down.bias`) ?? mlp.bias,
    },
  };
}

/** A layer's weights with low-rank factors merged into them: W + B A. */
export function merged(weights: LayerWeights, lowRank: readonly LowRankLinear[]): LayerWeights {
  const { attn, mlp } = weights;
  const sum = (linear: Linear, matrix: Matrix): Matrix => {
    const factors = lowRank.find((part) => part.linear === linear);
    return factors ? added(matrix, factors) : matrix;
  };
  return {
    attn: attn && { ...attn, q: sum("q", attn.q), k: sum("k", attn.k), v: sum("v", attn.v), o: sum("o", attn.o) },
    mlp: mlp && { ...mlp, gate: sum("gate", mlp.gate), up: sum("up", mlp.up), down: sum("down", mlp.down) },
  };
}

function added({ rows, cols, values }: Matrix, { rank, a, b }: LowRankLinear): Matrix {
  const out = Float32Array.from(values);
  for (let row = 0; row < rows; row++) {
    for (let r = 0; r < rank; r++) {
      const factor = b[row * rank + r] as number;
      for (let col = 0; col < cols; col++) (out[row * cols + col] as number) += factor * (a[r * cols + col] as number);
    }
  }
  return { rows, cols, values: out };
}
