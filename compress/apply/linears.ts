// The linears of a layer: their tensors' names, which input each has, and weights with some of them replaced.

import type { Matrix } from "../../formats/checkpoint.ts";
import type { Linear } from "../../src/variants/adapter.ts";
import type { ChangedTensor, LowRankLinear } from "../artifact.ts";
import type { LayerWeights } from "../forward/layer-weights.ts";
import type { Input } from "../moments.ts";
import { matrixOf } from "./overlay.ts";

/** GGUF's name of each linear's tensor, and the input that it shares with others. */
export const LINEAR_TENSORS = {
  q: { tensor: "attn_q", input: "qkv" },
  k: { tensor: "attn_k", input: "qkv" },
  v: { tensor: "attn_v", input: "qkv" },
  o: { tensor: "attn_output", input: "o" },
  gate: { tensor: "ffn_gate", input: "gateUp" },
  up: { tensor: "ffn_up", input: "gateUp" },
  down: { tensor: "ffn_down", input: "down" },
} as const satisfies Record<Linear, { tensor: string; input: Input }>;

const NAMES = Object.keys(LINEAR_TENSORS) as Linear[];

export const tensorName = (layer: number, linear: Linear): string =>
  `blk.${layer}.${LINEAR_TENSORS[linear].tensor}.weight`;

/** Linears of an input, in the order of `LINEARS`. */
export const linearsOf = (input: Input): Linear[] => NAMES.filter((name) => LINEAR_TENSORS[name].input === input);

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
  const weight = (linear: Linear, before: Matrix): Matrix => given(tensorName(layer, linear)) ?? before;
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
