// The graphs of the forward pass over whole sequences. Matrices are fp32 `[out, in]`; a graph is of one shape, its weights are inputs.

import type { ModelShape } from "../../formats/checkpoint.ts";
import { createGraph, type GraphBuilder } from "../../src/engine/onnx/graph.ts";
import type { Graph } from "../../src/engine/onnx/proto.ts";
import { addMoments } from "./moments.ts";

/** Moments of the linears' inputs that a graph puts out, too: as `addMoments` does, without Gram matrices or with them. */
export type Observed = "sums" | "gram" | undefined;

export interface AttentionKind {
  readonly heads: number;
  readonly kvHeads: number;
  readonly bias: boolean;
  readonly observed: Observed;
}

export interface MlpKind {
  readonly ffn: number;
  readonly bias: boolean;
  readonly observed: Observed;
}

const rmsNorm = (graph: GraphBuilder, { hidden, rmsEps }: ModelShape, x: string): string =>
  graph.op("SimplifiedLayerNormalization", [x, graph.input("norm", [hidden])], {
    axis: -1,
    epsilon: { float: rmsEps },
  });

const linear = (graph: GraphBuilder, x: string, name: string, out: number, into: number): string =>
  graph.contrib("FusedMatMul", [x, graph.input(name, [out, into])], { transB: 1 });

/** GroupQueryAttention takes heads in multiples of this alone. */
const HEAD_UNIT = 16;

/** Zeros after each `from` of the last axis, up to `to`: `[…, groups * from]` -> `[…, groups * to]`. */
function widen(graph: GraphBuilder, x: string, groups: number, from: number, to: number): string {
  const parts = graph.op("Reshape", [x, graph.shape(0, 0, groups, from)]);
  const padded = graph.op("Pad", [parts, graph.shape(0, 0, 0, 0, 0, 0, 0, to - from)]);
  return graph.op("Reshape", [padded, graph.shape(0, 0, groups * to)]);
}

/** The first `to` of each `from` of the last axis: `[…, groups * from]` -> `[…, groups * to]`. */
function narrow(graph: GraphBuilder, x: string, groups: number, from: number, to: number): string {
  const parts = graph.op("Reshape", [x, graph.shape(0, 0, groups, from)]);
  const cut = graph.op("Slice", [parts, graph.shape(0), graph.shape(to), graph.shape(3)]);
  return graph.op("Reshape", [cut, graph.shape(0, 0, groups * to)]);
}

type AttentionInputs = Readonly<Record<"q" | "k" | "v" | "cos" | "sin" | "last" | "total", string>>;

/** Heads of other sizes go in with zeros after each of their halves, which turn to zeros, and after each value. */
function attend(graph: GraphBuilder, headDim: number, heads: number, kvHeads: number, parts: AttentionInputs): string {
  const wide = Math.ceil(headDim / HEAD_UNIT) * HEAD_UNIT;
  const mix = ({ q, k, v, cos, sin, last, total }: AttentionInputs) =>
    graph.contrib("GroupQueryAttention", [q, k, v, "", "", last, total, cos, sin], {
      num_heads: heads,
      kv_num_heads: kvHeads,
      do_rotary: 1,
      scale: { float: 1 / Math.sqrt(headDim) },
    });
  if (wide === headDim) return mix(parts);
  const turns = (x: string) => graph.op("Pad", [x, graph.shape(0, 0, 0, (wide - headDim) / 2)]);
  const mixed = mix({
    ...parts,
    q: widen(graph, parts.q, 2 * heads, headDim / 2, wide / 2),
    k: widen(graph, parts.k, 2 * kvHeads, headDim / 2, wide / 2),
    v: widen(graph, parts.v, kvHeads, headDim, wide),
    cos: turns(parts.cos),
    sin: turns(parts.sin),
  });
  return narrow(graph, mixed, heads, wide, headDim);
}

const addTo = (graph: GraphBuilder, x: string, y: string, bias: boolean, hidden: number): string =>
  graph.op("Add", [x, bias ? graph.op("Add", [y, graph.input("bias", [hidden])]) : y]);

/**
 * x + o(attention(norm(x))), causal, with RoPE (rotate-half).
 * In: x `[sequences, length, hidden]`, cos and sin `[positions, headDim / 2]`, last `[sequences]` (length - 1), total (length).
 * Out: y as x; observed: moments of qkv (`hidden` columns) and o (heads * headDim).
 */
export function attentionGraph(shape: ModelShape, { heads, kvHeads, bias, observed }: AttentionKind): Graph {
  const { hidden, headDim } = shape;
  const graph = createGraph();
  const x = graph.input("x", ["sequences", "length", hidden]);
  const cos = graph.input("cos", ["positions", headDim / 2]);
  const sin = graph.input("sin", ["positions", headDim / 2]);
  const last = graph.input("last", ["sequences"], "int32");
  const total = graph.input("total", [], "int32");
  const normed = rmsNorm(graph, shape, x);
  const q = linear(graph, normed, "q", heads * headDim, hidden);
  const k = linear(graph, normed, "k", kvHeads * headDim, hidden);
  const v = linear(graph, normed, "v", kvHeads * headDim, hidden);
  const mixed = attend(graph, headDim, heads, kvHeads, { q, k, v, cos, sin, last, total });
  const y = addTo(graph, x, linear(graph, mixed, "o", hidden, heads * headDim), bias, hidden);
  graph.output(y, "y", ["sequences", "length", hidden]);
  if (observed) {
    addMoments(graph, "qkv", normed, hidden, observed === "gram");
    addMoments(graph, "o", mixed, heads * headDim, observed === "gram");
  }
  return graph.build();
}

/**
 * x + down(silu(gate(norm(x))) * up(norm(x))).
 * In: x `[sequences, length, hidden]`. Out: y as x; observed: moments of gateUp (`hidden` columns) and down (ffn).
 */
export function mlpGraph(shape: ModelShape, { ffn, bias, observed }: MlpKind): Graph {
  const { hidden } = shape;
  const graph = createGraph();
  const x = graph.input("x", ["sequences", "length", hidden]);
  const normed = rmsNorm(graph, shape, x);
  const gate = linear(graph, normed, "gate", ffn, hidden);
  const up = linear(graph, normed, "up", ffn, hidden);
  // QuickGelu with alpha 1 is SiLU.
  const inner = graph.op("Mul", [graph.contrib("QuickGelu", [gate], { alpha: { float: 1 } }), up]);
  const y = addTo(graph, x, linear(graph, inner, "down", hidden, ffn), bias, hidden);
  graph.output(y, "y", ["sequences", "length", hidden]);
  if (observed) {
    addMoments(graph, "gateUp", normed, hidden, observed === "gram");
    addMoments(graph, "down", inner, ffn, observed === "gram");
  }
  return graph.build();
}

/** Final norm. In: x `[rows, hidden]`. Out: the moments of `head`, the output head's input, with its Gram matrix. */
export function headInputGraph(shape: ModelShape): Graph {
  const graph = createGraph();
  const x = graph.input("x", ["rows", shape.hidden]);
  addMoments(graph, "head", rmsNorm(graph, shape, x), shape.hidden, true);
  return graph.build();
}

/**
 * Final norm, output head and negative log-likelihood (natural log).
 * In: x `[rows, hidden]`, target int64 `[rows, 1]`. Out: nll `[rows, 1]`.
 */
export function nllGraph(shape: ModelShape): Graph {
  const graph = createGraph();
  const x = graph.input("x", ["rows", shape.hidden]);
  const target = graph.input("target", ["rows", 1], "int64");
  const logits = linear(graph, rmsNorm(graph, shape, x), "head", shape.vocab, shape.hidden);
  const found = graph.op("GatherElements", [graph.op("LogSoftmax", [logits], { axis: -1 }), target], { axis: 1 });
  graph.output(graph.op("Neg", [found]), "nll", ["rows", 1]);
  return graph.build();
}
