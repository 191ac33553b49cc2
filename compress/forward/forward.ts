// The fp32 forward pass over whole sequences, a sublayer at a time: the hidden states of all sequences are held, and a sublayer's weights
// are given with each call, so that pruned or quantized ones can stand in their place.

import type { Matrix, ModelShape } from "../../formats/checkpoint.ts";
import { rotations } from "../../src/engine/index.ts";
import type { Input, Moments } from "../moments.ts";
import { attentionGraph, headInputGraph, mlpGraph, nllGraph, type Observed } from "./graphs.ts";
import type { AttentionWeights, LayerWeights, MlpWeights } from "./layer-weights.ts";
import { createMomentSums, type MomentSums } from "./moments.ts";
import { floats, int32, int64, openSession, type Session, type Tensors } from "./session.ts";

/** Token ids of sequences of equal length, `[sequences, length]`. */
export interface Tokens {
  readonly sequences: number;
  readonly length: number;
  readonly ids: Int32Array;
}

/** `[sequences, length, hidden]`, fp32. */
export interface Hidden {
  readonly sequences: number;
  readonly length: number;
  readonly values: Float32Array;
}

export interface SublayerOptions {
  /** Where the result goes; it may be the input itself. Default: new memory. */
  readonly into?: Hidden | undefined;
  /** Moments of the linears' inputs are added to these. */
  readonly sums?: MomentSums<Input> | undefined;
  /** Called after some sequences with the share that is done. */
  readonly onProgress?: ((fraction: number) => void) | undefined;
}

export interface Forward {
  readonly shape: ModelShape;
  /** The hidden states before the first layer. @throws RangeError for an id beyond the table */
  embed(table: Matrix, tokens: Tokens): Hidden;
  /** x + attention(norm(x)) */
  attention(weights: AttentionWeights, x: Hidden, options?: SublayerOptions): Promise<Hidden>;
  /** x + MLP(norm(x)) */
  mlp(weights: MlpWeights, x: Hidden, options?: SublayerOptions): Promise<Hidden>;
  /** Both in turn, where the layer has them; without `into`, x stays as it is. */
  layer(weights: LayerWeights, x: Hidden, options?: SublayerOptions): Promise<Hidden>;
  /** Negative log-likelihoods (natural log) of each sequence's tokens from the second on, `[sequences, length - 1]`. */
  nll(head: { readonly norm: Matrix; readonly head: Matrix }, x: Hidden, tokens: Tokens): Promise<Float32Array>;
  /** Moments of what the output head reads: the hidden states after the final norm. */
  headMoments(norm: Matrix, x: Hidden): Promise<Moments>;
  close(): Promise<void>;
}

export interface ForwardOptions {
  readonly shape: ModelShape;
  /** Default: as many as the machine has. */
  readonly threads?: number | undefined;
}

/** Tokens that go through a sublayer at once: the widest intermediate result should stay in the cache. */
const CHUNK_TOKENS = 2048;
/** Rows of logits held at once. */
const HEAD_ROWS = 512;

export const emptyHidden = ({ sequences, length }: Pick<Hidden, "sequences" | "length">, hidden: number): Hidden => ({
  sequences,
  length,
  values: new Float32Array(sequences * length * hidden),
});

export function createForward({ shape, threads }: ForwardOptions): Forward {
  const { hidden, headDim } = shape;
  const sessions = new Map<string, Promise<Session>>();
  const sessionOf = <K>(graph: (shape: ModelShape, kind: K) => Parameters<typeof openSession>[0], kind: K) => {
    const key = `${graph.name} ${JSON.stringify(kind)}`;
    const session = sessions.get(key) ?? openSession(graph(shape, kind), threads);
    sessions.set(key, session);
    return session;
  };
  let turns: { length: number; cos: Float32Array; sin: Float32Array } | undefined;

  interface Part {
    readonly session: Session;
    readonly weights: Tensors;
    /** Inputs that depend on how many sequences go at once. */
    readonly extra?: (sequences: number) => Tensors;
    /** The inputs whose moments go out, if they are wanted. */
    readonly inputs: readonly Input[];
  }

  /** Runs a graph x -> y over all sequences. */
  async function run({ session, weights, extra, inputs }: Part, x: Hidden, options: SublayerOptions) {
    const { sums, onProgress, into = emptyHidden(x, hidden) } = options;
    const { sequences, length } = x;
    const size = length * hidden;
    const step = Math.max(1, Math.floor(CHUNK_TOKENS / length));
    for (let first = 0; first < sequences; first += step) {
      const count = Math.min(step, sequences - first);
      const part = (all: Hidden) =>
        floats(all.values.subarray(first * size, (first + count) * size), count, length, hidden);
      const outputs = await session.run({ x: part(x), ...weights, ...extra?.(count) }, { y: part(into) });
      for (const input of inputs) sums?.add(input, count * length, outputs);
      onProgress?.((first + count) / sequences);
    }
    return into;
  }

  const forward: Forward = {
    shape,
    embed(table, { sequences, length, ids }) {
      const x = emptyHidden({ sequences, length }, hidden);
      for (const [i, id] of ids.entries()) {
        if (!(id >= 0 && id < table.rows)) throw new RangeError(`token ${id} is not below ${table.rows}`);
        x.values.set(table.values.subarray(id * hidden, (id + 1) * hidden), i * hidden);
      }
      return x;
    },
    async attention(weights, x, options = {}) {
      const kind = {
        heads: weights.q.rows / headDim,
        kvHeads: weights.k.rows / headDim,
        bias: weights.bias !== undefined,
        observed: observedBy(options),
      };
      const { length } = x;
      if (turns?.length !== length) turns = { length, ...rotations(shape, 0, length) };
      const cos = floats(turns.cos, length, headDim / 2);
      const sin = floats(turns.sin, length, headDim / 2);
      const total = int32(Int32Array.of(length));
      return run(
        {
          session: await sessionOf(attentionGraph, kind),
          weights: tensorsOf(weights),
          extra: (count) => ({ cos, sin, total, last: int32(new Int32Array(count).fill(length - 1), count) }),
          inputs: ["qkv", "o"],
        },
        x,
        options,
      );
    },
    async mlp(weights, x, options = {}) {
      const kind = { ffn: weights.gate.rows, bias: weights.bias !== undefined, observed: observedBy(options) };
      const session = await sessionOf(mlpGraph, kind);
      return run({ session, weights: tensorsOf(weights), inputs: ["gateUp", "down"] }, x, options);
    },
    async layer({ attn, mlp }, x, options = {}) {
      const { into = emptyHidden(x, hidden) } = options;
      if (attn) await forward.attention(attn, x, { ...options, into });
      else if (into !== x) into.values.set(x.values);
      return mlp ? forward.mlp(mlp, into, { ...options, into }) : into;
    },
    async nll({ norm, head }, x, tokens) {
      const session = await sessionOf(nllGraph, 0);
      const weights = { norm: vector(norm), head: floats(head.values, head.rows, head.cols) };
      const { sequences, length } = x;
      const out = new Float32Array(sequences * (length - 1));
      for (let sequence = 0; sequence < sequences; sequence++) {
        for (let from = 0; from < length - 1; from += HEAD_ROWS) {
          const count = Math.min(HEAD_ROWS, length - 1 - from);
          const at = sequence * length + from;
          const target = BigInt64Array.from(tokens.ids.subarray(at + 1, at + 1 + count), BigInt);
          const to = sequence * (length - 1) + from;
          await session.run(
            {
              x: floats(x.values.subarray(at * hidden, (at + count) * hidden), count, hidden),
              target: int64(target, count, 1),
              ...weights,
            },
            { nll: floats(out.subarray(to, to + count), count, 1) },
          );
        }
      }
      return out;
    },
    async headMoments(norm, { values }) {
      const session = await sessionOf(headInputGraph, 0);
      const sums = createMomentSums<"head">({ gram: true });
      const size = CHUNK_TOKENS * hidden;
      for (let at = 0; at < values.length; at += size) {
        const part = values.subarray(at, at + size);
        const rows = part.length / hidden;
        sums.add("head", rows, await session.run({ x: floats(part, rows, hidden), norm: vector(norm) }));
      }
      return sums.moments().get("head") as Moments;
    },
    async close() {
      for (const session of sessions.values()) await (await session).release();
      sessions.clear();
    },
  };
  return forward;
}

const observedBy = ({ sums }: SublayerOptions): Observed => sums && (sums.gram ? "gram" : "sums");

const vector = (matrix: Matrix) => floats(matrix.values, matrix.values.length);

/** Weights as inputs of a graph, under the names that they have there. */
function tensorsOf(weights: AttentionWeights | MlpWeights): Tensors {
  const entries = Object.entries(weights).flatMap(([name, matrix]: [string, Matrix | undefined]) => {
    if (!matrix) return [];
    const flat = name === "norm" || name === "bias";
    return [[name, flat ? vector(matrix) : floats(matrix.values, matrix.rows, matrix.cols)] as const];
  });
  return Object.fromEntries(entries);
}
