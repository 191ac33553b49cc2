// The graphs of a LLaMA decoder, one for each piece of work between two looks at the KV cache. Rows are the tokens of one step.
import type { ModelConfig } from "../../variants/index.ts";
import { createGraph, type GraphBuilder } from "./graph.ts";
import { linear, type Mode, shares } from "./linear.ts";
import type { Graph } from "./proto.ts";

/** What all graphs of a layer share. The weights they are given are fp32 `[out, in]`, norms and biases `[hidden]`. */
export interface Shared {
  /** With the layer's own heads, KV heads and FFN width. */
  readonly config: ModelConfig;
  readonly mode: Mode;
}

const rmsNorm = (graph: GraphBuilder, { hidden, rmsEps }: ModelConfig, x: string, gain: Float32Array): string =>
  graph.op("SimplifiedLayerNormalization", [x, graph.constant(gain, [hidden], "float32")], {
    axis: -1,
    epsilon: { float: rmsEps },
  });

/** Sums the blocks' products `[blocks, rows, hidden]`, adds a bias where there is one, and the residual stream. */
function addTo(graph: GraphBuilder, x: string, products: string, bias: Float32Array | undefined): string {
  const sum = graph.op("ReduceSum", [products, graph.shape(0)], { keepdims: 0 });
  const output = bias ? graph.op("Add", [sum, graph.constant(bias, [bias.length], "float32")]) : sum;
  return graph.op("Add", [x, output]);
}

/**
 * Norm, q, k and v of a layer, with RoPE (rotate-half).
 * In: x `[rows, hidden]`, cos and sin `[rows, headDim / 2]` of the rows' positions.
 * Out: q `[kvHeads, rows, heads / kvHeads * headDim]`, k and v `[1, rows, kvHeads * headDim]`.
 */
export function qkvGraph(
  { config, mode }: Shared,
  { norm, q, k, v }: { norm: Float32Array; q: Float32Array; k: Float32Array; v: Float32Array },
): Graph {
  const { hidden, heads, kvHeads, headDim } = config;
  const queries = heads * headDim;
  const keys = kvHeads * headDim;
  const graph = createGraph();
  const x = graph.input("x", ["rows", hidden]);
  const cos = graph.input("cos", ["rows", headDim / 2]);
  const sin = graph.input("sin", ["rows", headDim / 2]);
  const weight = new Float32Array(q.length + k.length + v.length);
  weight.set(q);
  weight.set(k, q.length);
  weight.set(v, q.length + k.length);
  const projected = linear(graph, mode, rmsNorm(graph, config, x, norm), {
    weight,
    cols: hidden,
    inputs: 1,
    outputs: 1,
  });
  const [turned, values] = graph.split(projected, 2, [queries + keys, keys]);
  // cos and sin hold just this step's rows, so positions count from 0.
  const rotated = graph.contrib("RotaryEmbedding", [turned, graph.shape(0), cos, sin], {
    interleaved: 0,
    num_heads: heads + kvHeads,
    rotary_embedding_dim: headDim,
  });
  const [asked, keyed] = graph.split(rotated, 2, [queries, keys]);
  const grouped = graph.op("Reshape", [asked, graph.shape(-1, kvHeads, queries / kvHeads)]);
  graph.output(graph.op("Transpose", [grouped], { perm: [1, 0, 2] }), "q", [kvHeads, "rows", queries / kvHeads]);
  graph.output(keyed, "k", [1, "rows", keys]);
  graph.output(values, "v", [1, "rows", keys]);
  return graph.build();
}

/**
 * Attention over the whole KV cache, the output projection and the residual.
 * In: x `[rows, hidden]`, q `[kvHeads, rows * group, headDim]`, k and v `[tokens, kvHeads, headDim]`,
 * mask `[rows * group, tokens]` or `[1, 1]`, added to the scores. Out: y `[rows, hidden]`.
 */
export function attentionGraph(
  { config, mode }: Shared,
  { o, bias }: { o: Float32Array; bias: Float32Array | undefined },
): Graph {
  const { hidden, heads, kvHeads, headDim } = config;
  const graph = createGraph();
  const x = graph.input("x", ["rows", hidden]);
  const q = graph.input("q", [kvHeads, "queries", headDim]);
  const k = graph.input("k", ["tokens", kvHeads, headDim]);
  const v = graph.input("v", ["tokens", kvHeads, headDim]);
  const mask = graph.input("mask", ["masked", "over"]);
  const scores = graph.contrib("FusedMatMul", [q, k], {
    transB: 1,
    transBatchB: 1,
    alpha: { float: headDim ** -0.5 },
  });
  const weights = graph.op("Softmax", [graph.op("Add", [scores, mask])], { axis: -1 });
  const mixed = graph.contrib("FusedMatMul", [weights, v], { transBatchB: 1 });
  const grouped = graph.op("Reshape", [mixed, graph.shape(kvHeads, -1, (heads / kvHeads) * headDim)]);
  const y = addTo(
    graph,
    x,
    linear(graph, mode, grouped, { weight: o, cols: heads * headDim, inputs: kvHeads, outputs: 1 }),
    bias,
  );
  graph.output(y, "y", ["rows", hidden]);
  return graph.build();
}

/** The MLP of a layer: x + bias + down(silu(gate(norm(x))) * up(norm(x))). In: x `[rows, hidden]`. Out: y `[rows, hidden]`. */
export function mlpGraph(
  { config, mode }: Shared,
  {
    norm,
    gate,
    up,
    down,
    bias,
  }: { norm: Float32Array; gate: Float32Array; up: Float32Array; down: Float32Array; bias: Float32Array | undefined },
): Graph {
  const { hidden, ffn } = config;
  const blocks = shares(ffn);
  const graph = createGraph();
  const x = graph.input("x", ["rows", hidden]);
  const weight = new Float32Array(gate.length + up.length);
  weight.set(gate);
  weight.set(up, gate.length);
  const both = linear(graph, mode, rmsNorm(graph, config, x, norm), {
    weight,
    cols: hidden,
    inputs: 1,
    outputs: 2 * blocks,
  });
  const [gated, raised] = graph.split(both, 0);
  // QuickGelu with alpha 1 is SiLU.
  const inner = graph.op("Mul", [graph.contrib("QuickGelu", [gated], { alpha: { float: 1 } }), raised]);
  const y = addTo(graph, x, linear(graph, mode, inner, { weight: down, cols: ffn, inputs: blocks, outputs: 1 }), bias);
  graph.output(y, "y", ["rows", hidden]);
  return graph.build();
}

/** Input features of the head that share a scale: what it rounds nothing evens out any more. */
const HEAD_INPUTS = 192;

/**
 * The final norm and some rows of the output head, `weight`, in `blocks` of equal size.
 * In: x `[rows, hidden]`. Out: y `[blocks, rows, outer]`, logits in blocks.
 */
export function headGraph(
  { config, mode }: Shared,
  { norm, weight, blocks }: { norm: Float32Array; weight: Float32Array; blocks: number },
): Graph {
  const { hidden } = config;
  const inputs = mode === "int8" && blocks > 1 ? shares(hidden, HEAD_INPUTS) : 1;
  const graph = createGraph();
  const x = graph.input("x", ["rows", hidden]);
  const normed = rmsNorm(graph, config, x, norm);
  const cut = { weight, cols: hidden, inputs, outputs: blocks };
  let y: string;
  if (inputs === 1) y = linear(graph, mode, normed, cut);
  else {
    const parts = graph.op("Reshape", [normed, graph.shape(-1, 1, inputs, hidden / inputs)]);
    const products = linear(graph, mode, graph.op("Transpose", [parts], { perm: [2, 1, 0, 3] }), cut);
    y = graph.op("ReduceSum", [products, graph.shape(0)], { keepdims: 0 });
  }
  graph.output(y, "y", [blocks, "rows", weight.length / hidden / blocks]);
  return graph.build();
}
