// All sessions of one base model: each sublayer's are made once, at load, and every plan that runs the sublayer shares them.
import type { BaseModel, Tensor as WeightTensor } from "../../variants/index.ts";
import { EngineError, type Pace } from "../types.ts";
import { dequantize } from "../weights.ts";
import { createEmbedding, type Embedding } from "./embedding.ts";
import { type Mode, shares } from "./linear.ts";
import type { Graph } from "./proto.ts";
import type { Runtime } from "./runtime.ts";
import { createSession, type Session } from "./sessions.ts";
import { attentionGraph, headGraph, mlpGraph, qkvGraph, type Shared } from "./sublayers.ts";

/** A session and the multiply-adds of one row through it; attention over the cache comes on top. */
export interface Sublayer {
  readonly session: Session;
  readonly multiplyAdds: number;
}

/** Part of the output head: logits `[blocks, rows, outer]` of the tokens from `first` on. */
export interface HeadPart extends Sublayer {
  readonly first: number;
  readonly blocks: number;
  readonly outer: number;
}

export interface Layer {
  readonly heads: number;
  readonly kvHeads: number;
  readonly qkv: Sublayer;
  readonly attention: Sublayer;
  readonly mlp: Sublayer;
}

export interface Model {
  readonly layers: readonly Layer[];
  readonly head: readonly HeadPart[];
  readonly embedding: Embedding;
}

export interface LoadModelOptions {
  readonly runtime: Runtime;
  readonly base: BaseModel;
  /** The weight image; not needed any more when this is done. */
  readonly image: Uint8Array;
  readonly mode: Mode;
  /** Called between sublayers with the weights they hold. */
  readonly pace: Pace;
  /** Called with the share of the sublayers that are ready. */
  readonly onProgress: (fraction: number) => void;
}

/** Blocks of the head that one session holds: about as much work as an MLP, so that no run takes long. */
const HEAD_BLOCKS = 8;

type MakeSession = (graph: Graph) => Promise<Session>;

/**
 * @throws EngineError `bad_plan` when the base lacks a tensor that a decoder needs, `out_of_memory` when the sessions do not fit; what was
 * made till then is released
 */
export async function loadModel(options: LoadModelOptions): Promise<Model> {
  const sessions: Session[] = [];
  try {
    return await makeSessions(options, async (graph) => {
      const session = await createSession(options.runtime, graph);
      sessions.push(session);
      return session;
    });
  } catch (error) {
    await Promise.all(sessions.map((session) => session.release()));
    throw error;
  }
}

async function makeSessions(options: LoadModelOptions, makeSession: MakeSession): Promise<Model> {
  const { base, image, mode, pace, onProgress } = options;
  const { config } = base;
  const tensors = new Map(base.tensors.map((tensor) => [tensor.name, tensor]));
  const find = (name: string): WeightTensor => {
    const tensor = tensors.get(name);
    if (!tensor) throw new EngineError("bad_plan", `${base.id} has no tensor ${name}`);
    return tensor;
  };
  const weight = (name: string): Float32Array => dequantize(find(name), image);
  const maybe = (name: string): Float32Array | undefined => (tensors.has(name) ? weight(name) : undefined);

  const headBlocks = shares(config.vocab);
  const steps = config.layers * 2 + Math.ceil(headBlocks / HEAD_BLOCKS);
  let done = 0;
  const step = async (weights: number): Promise<void> => {
    onProgress(++done / steps);
    await pace(weights);
  };
  const sublayer = async (graph: Graph, multiplyAdds: number): Promise<Sublayer> => ({
    session: await makeSession(graph),
    multiplyAdds,
  });

  const { hidden, vocab, headDim } = config;

  const layers: Layer[] = [];
  for (let index = 0; index < config.layers; index++) {
    const of = (name: string) => weight(`blk.${index}.${name}.weight`);
    const rowsOf = (name: string) => find(`blk.${index}.${name}.weight`).rows;
    const [queries, keys, ffn] = [rowsOf("attn_q"), rowsOf("attn_k"), rowsOf("ffn_gate")];
    const [heads, kvHeads] = [queries / headDim, keys / headDim];
    const shared: Shared = { config: { ...config, heads, kvHeads, ffn }, mode };
    const attentionWeights = { norm: of("attn_norm"), q: of("attn_q"), k: of("attn_k"), v: of("attn_v") };
    const qkv = await sublayer(qkvGraph(shared, attentionWeights), hidden * (queries + 2 * keys));
    const attention = await sublayer(
      attentionGraph(shared, { o: of("attn_output"), bias: maybe(`blk.${index}.attn_output.bias`) }),
      hidden * queries,
    );
    await step(qkv.multiplyAdds + attention.multiplyAdds);
    const mlpWeights = {
      norm: of("ffn_norm"),
      gate: of("ffn_gate"),
      up: of("ffn_up"),
      down: of("ffn_down"),
      bias: maybe(`blk.${index}.ffn_down.bias`),
    };
    const mlp = await sublayer(mlpGraph(shared, mlpWeights), 3 * hidden * ffn);
    await step(mlp.multiplyAdds);
    layers.push({ heads, kvHeads, qkv, attention, mlp });
  }

  const table = weight("token_embd.weight");
  const embedding = createEmbedding(table, hidden, mode);
  const headWeight = tensors.has("output.weight") ? weight("output.weight") : table;
  const norm = weight("output_norm.weight");
  const outer = vocab / headBlocks;
  const head: HeadPart[] = [];
  for (let block = 0; block < headBlocks; block += HEAD_BLOCKS) {
    const blocks = Math.min(HEAD_BLOCKS, headBlocks - block);
    const first = block * outer;
    const rows = headWeight.subarray(first * hidden, (first + blocks * outer) * hidden);
    const graph = headGraph({ config, mode }, { norm, weight: rows, blocks });
    head.push({ ...(await sublayer(graph, rows.length)), first, blocks, outer });
    await step(rows.length);
  }
  return { layers, head, embedding };
}
