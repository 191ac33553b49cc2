import module from "onnxruntime-web/ort-wasm-simd-threaded.wasm";
import { beforeAll, describe, expect, it } from "vitest";
import { createGraph, type GraphBuilder } from "../../../src/engine/onnx/graph.ts";
import { createOnnxEngine } from "../../../src/engine/onnx/index.ts";
import { encodeModel, type Graph } from "../../../src/engine/onnx/proto.ts";
import { rotations } from "../../../src/engine/rope.ts";
import type { Engine } from "../../../src/engine/types.ts";
import { dequantize } from "../../../src/engine/weights.ts";
import type { Tensor } from "../../../src/variants/base.ts";
import { compileOnnxPlan, compilePlan, type Plan } from "../../../src/variants/plan.ts";
import { onnxRecipeSchema } from "../../../src/variants/recipe.ts";
import { tinyRecipe } from "../../support/base.ts";
import { built, config, makeTiny, referenceLogits } from "./tiny.ts";

const { base, image, open } = makeTiny();
const whole = compilePlan(tinyRecipe([{ layer: 0 }, { layer: 2 }]), base);
const noPace = () => undefined;
const prompt = [5, 0, 99, 17, 64, 3, 127, 8, 8, 21];

/** Adds a product with a tensor of the tiny base. */
function product(graph: GraphBuilder, x: string, tensor: Tensor): string {
  const rows = graph.constant(dequantize(tensor, image), [tensor.rows, tensor.cols], "float32");
  return graph.op("MatMul", [x, graph.op("Transpose", [rows], { perm: [1, 0] })]);
}

/** The plan as one graph with transformers.js's names, the way exporters write it: mask and cache inside. */
function exported(plan: Plan): Graph {
  const { hidden, heads, kvHeads, headDim, rmsEps, vocab, contextLength } = config;
  const graph = createGraph();
  const ids = graph.input("input_ids", ["batch", "sequence"], "int64");
  const mask = graph.input("attention_mask", ["batch", "total"], "int64");
  const positions = graph.input("position_ids", ["batch", "sequence"], "int64");
  const norm = (x: string, gain: Tensor) =>
    graph.op("SimplifiedLayerNormalization", [x, graph.constant(dequantize(gain, image), [hidden], "float32")], {
      axis: -1,
      epsilon: { float: rmsEps },
    });
  const { cos, sin } = rotations(config, 0, contextLength);
  const caches = [cos, sin].map((table) => graph.constant(table, [contextLength, headDim / 2], "float32"));
  const turned = (x: string, count: number) =>
    graph.contrib("RotaryEmbedding", [x, positions, ...caches], { num_heads: count, rotary_embedding_dim: headDim });
  const byHead = (x: string, count: number) =>
    graph.op("Transpose", [graph.op("Reshape", [x, graph.shape(1, -1, count, headDim)])], { perm: [0, 2, 1, 3] });

  // [1, sequence, total]: may the row see the column?
  const total = graph.op("Squeeze", [graph.op("Shape", [mask], { start: 1 })]);
  const int = (value: number) => graph.constant(BigInt64Array.of(BigInt(value)), [], "int64");
  const columns = graph.op("Range", [int(0), total, int(1)]);
  const seen = graph.op("GreaterOrEqual", [graph.op("Unsqueeze", [positions, graph.shape(-1)]), columns]);
  const bias = graph.op("Where", [seen, graph.scalar(0), graph.scalar(Number.NEGATIVE_INFINITY)]);

  const table = graph.constant(dequantize(plan.embedding, image), [vocab, hidden], "float32");
  let x = graph.op("Gather", [table, ids], { axis: 0 });
  plan.slots.forEach(({ attn, mlp }, layer) => {
    if (!attn || !mlp) throw new Error("the test exports whole layers");
    const normed = norm(x, attn.norm);
    const withPast = (kind: "key" | "value", rows: string) => {
      const past = graph.input(`past_key_values.${layer}.${kind}`, ["batch", kvHeads, "past", headDim]);
      const all = graph.op("Concat", [past, byHead(rows, kvHeads)], { axis: 2 });
      graph.output(graph.op("Identity", [all]), `present.${layer}.${kind}`, ["batch", kvHeads, "total", headDim]);
      return graph.op("Unsqueeze", [all, graph.shape(2)]);
    };
    const q = byHead(turned(product(graph, normed, attn.q), heads), heads);
    const k = withPast("key", turned(product(graph, normed, attn.k), kvHeads));
    const v = withPast("value", product(graph, normed, attn.v));
    const grouped = graph.op("Reshape", [q, graph.shape(1, kvHeads, heads / kvHeads, -1, headDim)]);
    const scores = graph.op("MatMul", [grouped, graph.op("Transpose", [k], { perm: [0, 1, 2, 4, 3] })]);
    const scaled = graph.op("Add", [graph.op("Mul", [scores, graph.scalar(headDim ** -0.5)]), bias]);
    const mixed = graph.op("MatMul", [graph.op("Softmax", [scaled], { axis: -1 }), v]);
    const rows = graph.op("Transpose", [graph.op("Reshape", [mixed, graph.shape(1, heads, -1, headDim)])], {
      perm: [0, 2, 1, 3],
    });
    const joined = graph.op("Reshape", [rows, graph.shape(1, -1, heads * headDim)]);
    x = graph.op("Add", [x, product(graph, joined, attn.o)]);
    const inner = norm(x, mlp.norm);
    const gate = product(graph, inner, mlp.gate);
    const silu = graph.op("Mul", [gate, graph.op("Sigmoid", [gate])]);
    x = graph.op("Add", [x, product(graph, graph.op("Mul", [silu, product(graph, inner, mlp.up)]), mlp.down)]);
  });
  const logits = product(graph, norm(x, plan.outputNorm), plan.head);
  graph.output(logits, "logits", ["batch", "sequence", vocab]);
  return graph.build();
}

/** A plan of an ONNX file, and what opens the file. */
function planOf(bytes: Uint8Array) {
  const recipe = onnxRecipeSchema.parse({
    id: "own",
    base: base.id,
    title: "A user's own",
    origin: { source: "a test", section: "none" },
    status: "research",
    onnx: { file: "own.onnx", contextLength: 64 },
  });
  const half = Math.floor(bytes.length / 2);
  const parts = [bytes.slice(0, half), bytes.slice(half)].map(built);
  return {
    plan: compileOnnxPlan(
      recipe,
      base,
      parts.map(({ file }) => file),
    ),
    openers: parts.map(({ open }) => open),
  };
}

const encoded = (graph: Graph) => planOf(encodeModel(graph, Number.POSITIVE_INFINITY).model);

const graph = exported(whole);
const own = encoded(graph);

let engine: Engine;
const openers = [open, ...own.openers];
beforeAll(async () => {
  engine = await createOnnxEngine({
    base,
    mode: "fp32",
    module,
    open: async (file) => {
      for (const opener of openers) {
        const stream = await opener(file);
        if (stream) return stream;
      }
      return undefined;
    },
  });
});

describe("a user's ONNX decoder", () => {
  it("goes on from where its sequence was cut to, at any length", async () => {
    const expected = referenceLogits(whole, image, [...prompt.slice(0, 4), 77, 12]);
    const sequence = await engine.open(own.plan, 20);
    await engine.step([{ sequence, tokens: prompt.slice(0, 7), logits: "none" }], noPace);
    await engine.step([{ sequence, tokens: prompt.slice(7), logits: "none" }], noPace);
    for (const tokens of [[77, 12], [77]]) {
      sequence.truncate(4);
      const [logits] = await engine.step([{ sequence, tokens, logits: "all" }], noPace);
      const rows = expected.slice(4, 4 + tokens.length).flat();
      for (const [i, value] of rows.entries())
        expect(Math.abs((logits as Float32Array)[i]! - value)).toBeLessThan(1e-3);
    }
    sequence.close();
  });

  it("gives the logits that its weights give as slots, whatever the chunks and with others in the batch", async () => {
    const [mine, slots] = [await engine.open(own.plan, 20), await engine.open(whole, 20)];
    const expected = referenceLogits(whole, image, prompt);
    for (let at = 0; at < prompt.length; ) {
      const tokens = prompt.slice(at, at + (at === 0 ? 6 : 1));
      const results = await engine.step(
        [mine, slots].map((sequence) => ({ sequence, tokens, logits: "all" as const })),
        noPace,
      );
      const rows = expected.slice(at, at + tokens.length).flat();
      for (const logits of results) {
        expect(logits).toHaveLength(rows.length);
        for (const [i, logit] of rows.entries()) expect(Math.abs((logits[i] as number) - logit)).toBeLessThan(1e-4);
      }
      at += tokens.length;
    }
    expect(mine.length).toBe(prompt.length);
    mine.close();
    slots.close();
  });

  it("gives the last row when only that is wanted, and none when none is", async () => {
    const sequence = await engine.open(own.plan, 20);
    const [none] = await engine.step([{ sequence, tokens: prompt.slice(0, 4), logits: "none" }], noPace);
    expect(none).toHaveLength(0);
    const [last] = await engine.step([{ sequence, tokens: prompt.slice(4), logits: "last" }], noPace);
    const expected = referenceLogits(whole, image, prompt).at(-1) ?? [];
    expect(last).toHaveLength(expected.length);
    for (const [i, logit] of expected.entries()) expect(Math.abs((last?.[i] as number) - logit)).toBeLessThan(1e-4);
    sequence.close();
  });

  it("goes on from where it was when a step is given up", async () => {
    const sequence = await engine.open(own.plan, 20);
    await engine.step([{ sequence, tokens: prompt.slice(0, 4), logits: "none" }], noPace);
    const stop = () => {
      throw new Error("stop");
    };
    await expect(engine.step([{ sequence, tokens: [1, 2], logits: "last" }], stop)).rejects.toThrow("stop");
    expect(sequence.length).toBe(4);
    const [last] = await engine.step([{ sequence, tokens: prompt.slice(4), logits: "last" }], noPace);
    const expected = referenceLogits(whole, image, prompt).at(-1) ?? [];
    for (const [i, logit] of expected.entries()) expect(Math.abs((last?.[i] as number) - logit)).toBeLessThan(1e-4);
    sequence.close();
  });

  it("holds its KV cache to the budget and its capacity", async () => {
    await expect(engine.open(own.plan, 2 ** 22)).rejects.toMatchObject({ code: "out_of_memory" });
    const before = engine.residentBytes();
    const sequence = await engine.open(own.plan, 2);
    await engine.step([{ sequence, tokens: [1, 2], logits: "none" }], noPace);
    expect(engine.residentBytes() - before).toBeGreaterThanOrEqual(2 * 2 * 2 * config.kvHeads * config.headDim * 4);
    await expect(engine.step([{ sequence, tokens: [3], logits: "none" }], noPace)).rejects.toThrow(/beyond/);
    sequence.close();
  });

  it.each([
    ["input input_ids", (g: Graph) => renamed(g, "input_ids", "ids")],
    ["output logits", (g: Graph) => renamed(g, "logits", "scores")],
    ["input past_key_values.1.value", (g: Graph) => renamed(g, "past_key_values.1.value", "past_1_value")],
    ["output present.0.key", (g: Graph) => renamed(g, "present.0.key", "present_key")],
    ["input token_type_ids", (g: Graph) => renamed(g, "position_ids", "token_type_ids")],
  ])("is refused with the name of what is wrong: %s", async (named, change) => {
    const other = encoded(change(graph));
    openers.push(...other.openers);
    const opening = engine.open(other.plan, 4);
    await expect(opening).rejects.toThrow(named);
    await expect(opening).rejects.toMatchObject({ code: "bad_plan" });
  });

  it("is refused when it is of another vocabulary or no ONNX file at all", async () => {
    const narrow = { ...base, config: { ...config, vocab: config.vocab - 1 } };
    await expect(engine.open({ ...own.plan, base: narrow, fingerprint: "narrow" }, 4)).rejects.toThrow(/128 columns/);
    const text = planOf(new TextEncoder().encode("this is no ONNX file"));
    openers.push(...text.openers);
    await expect(engine.open(text.plan, 4)).rejects.toMatchObject({ code: "bad_plan" });
  });

  it("is named when a part of its file is missing", async () => {
    const { plan } = planOf(new TextEncoder().encode("never uploaded"));
    await expect(engine.open(plan, 4)).rejects.toMatchObject({ code: "damaged_weights" });
  });
});

/** The graph with an input or output under another name. */
function renamed(graph: Graph, from: string, to: string): Graph {
  const name = (value: string) => (value === from ? to : value);
  return {
    ...graph,
    inputs: graph.inputs.map((value) => ({ ...value, name: name(value.name) })),
    outputs: graph.outputs.map((value) => ({ ...value, name: name(value.name) })),
    nodes: graph.nodes.map((node) => ({ ...node, inputs: node.inputs.map(name), outputs: node.outputs.map(name) })),
  };
}
