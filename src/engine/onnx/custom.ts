// A LLaMA decoder that a user brings as one ONNX file, with the input and output names that transformers.js uses.
import type { Plan } from "../../variants/index.ts";
import { EngineError } from "../types.ts";
import { type OpenFile, readParts } from "../weights.ts";
import type { Decoder } from "./decoder.ts";
import type { Runtime, Tensor } from "./runtime.ts";
import { openSession, type Session } from "./sessions.ts";

export interface CustomModel {
  /** KV bytes that one token adds; counted twice, as such a graph makes a whole new cache from the last one. */
  readonly kvBytesPerToken: number;
  decoder(): Decoder;
}

export interface LoadCustomOptions {
  readonly runtime: Runtime;
  readonly plan: Plan;
  readonly open: OpenFile;
}

const PAST = /^past_key_values\.(\d+)\.(key|value)$/;
const KNOWN_INPUTS = new Set(["input_ids", "attention_mask", "position_ids", "num_logits_to_keep"]);

/**
 * @throws EngineError `bad_plan` that names the input or output which is missing or of another kind, or says why the file is no model;
 * `damaged_weights` when a part of the file is missing or altered
 */
export async function loadCustom({ runtime, plan, open }: LoadCustomOptions): Promise<CustomModel> {
  const parts = plan.onnx ?? [];
  const model = new Uint8Array(parts.reduce((sum, part) => sum + part.bytes, 0));
  await readParts(parts, model, { open });
  const session = await openSession(runtime, { model, external: undefined }).catch((error: unknown) => {
    if (error instanceof EngineError) throw error;
    throw new EngineError(
      "bad_plan",
      `${plan.id}: onnxruntime-web does not run this file: ${(error as Error).message}`,
    );
  });
  const caches = cacheInputs(session, plan);
  const { ort } = runtime;
  const takes = new Set(session.inputs.map((input) => input.name));

  const integers = (values: readonly number[], dims: readonly number[]): Tensor =>
    new ort.Tensor("int64", BigInt64Array.from(values, BigInt), dims);

  function decoder(): Decoder {
    const empty = () =>
      caches.map(({ heads, width }) => new ort.Tensor("float32", new Float32Array(0), [1, heads, 0, width]) as Tensor);
    /** K and V after a length: the last one, and the one before in case a step is given up. */
    let kept: { length: number; tensors: Tensor[] }[] = [{ length: 0, tensors: empty() }];
    /** What a sequence that was cut back goes on from. */
    const cutTo = (length: number) => {
      const longer = kept.find((entry) => entry.length > length);
      if (!longer) throw new Error(`${plan.id}: no KV cache of ${length} tokens`);
      const tensors = caches.map(({ heads, width }, i) => {
        const all = longer.tensors[i]?.data as Float32Array;
        const first = new Float32Array(heads * length * width);
        for (let head = 0; head < heads; head++) {
          const from = head * longer.length * width;
          first.set(all.subarray(from, from + length * width), head * length * width);
        }
        return new ort.Tensor("float32", first, [1, heads, length, width]) as Tensor;
      });
      return { length, tensors };
    };
    return {
      get kvBytes() {
        return kept.flatMap(({ tensors }) => tensors).reduce((sum, tensor) => sum + tensor.size * 4, 0);
      },
      async run(tokens, position, logits, pace) {
        const past = kept.find(({ length }) => length === position) ?? cutTo(position);
        const rows = tokens.length;
        const length = position + rows;
        const feeds: Record<string, Tensor> = { input_ids: integers(tokens, [1, rows]) };
        if (takes.has("attention_mask")) feeds.attention_mask = integers(new Array(length).fill(1), [1, length]);
        if (takes.has("position_ids")) {
          const positions = tokens.map((_, i) => position + i);
          feeds.position_ids = integers(positions, [1, rows]);
        }
        if (takes.has("num_logits_to_keep")) feeds.num_logits_to_keep = integers([logits === "all" ? 0 : 1], []);
        for (const [i, { name }] of caches.entries()) feeds[name] = past.tensors[i] as Tensor;
        const results = await session.run(feeds);
        const tensors = caches.map(({ present }) => results[present] as Tensor);
        kept = [past, { length, tensors }];
        const turn = pace(plan.costs.multiplyAdds * rows);
        if (turn) await turn;
        const { vocab } = plan.base.config;
        if (results.logits?.dims.at(-1) !== vocab) {
          throw new EngineError(
            "bad_plan",
            `${plan.id}: output logits has ${results.logits?.dims.at(-1)} columns, not ${vocab}`,
          );
        }
        const all = results.logits.data as Float32Array;
        if (logits === "none") return new Float32Array(0);
        return logits === "all" ? all : all.slice(all.length - vocab);
      },
      close() {
        kept = [];
      },
    };
  }
  return { kvBytesPerToken: caches.reduce((sum, { heads, width }) => sum + 2 * heads * width * 4, 0), decoder };
}

interface CacheInput {
  readonly name: string;
  readonly present: string;
  readonly heads: number;
  readonly width: number;
}

/** The KV cache's inputs, with their shapes. Checks all other inputs and outputs on the way. */
function cacheInputs(session: Session, plan: Plan): CacheInput[] {
  const bad = (problem: string) =>
    new EngineError("bad_plan", `${plan.id}: not a decoder with transformers.js's names: ${problem}`);
  const input = new Map(session.inputs.map((value) => [value.name, value]));
  const output = new Map(session.outputs.map((value) => [value.name, value]));
  if (!input.has("input_ids")) throw bad("input input_ids is missing");
  const logits = output.get("logits");
  if (!logits) throw bad("output logits is missing");
  if (!logits.isTensor || logits.type !== "float32") throw bad("output logits is not float32");
  const vocab = logits.shape.at(-1);
  if (typeof vocab === "number" && vocab !== plan.base.config.vocab) {
    throw bad(
      `output logits has ${vocab} columns, but the tokenizer of ${plan.base.id} has ${plan.base.config.vocab} tokens`,
    );
  }

  const caches: CacheInput[] = [];
  for (const { name } of session.inputs) {
    const found = PAST.exec(name);
    if (!found) {
      if (!KNOWN_INPUTS.has(name)) throw bad(`input ${name} is none that such a decoder has`);
      continue;
    }
    const [, layer, kind] = found;
    const pair = `past_key_values.${layer}.${kind === "key" ? "value" : "key"}`;
    if (!input.has(pair)) throw bad(`input ${pair} is missing`);
    const present = `present.${layer}.${kind}`;
    if (!output.has(present)) throw bad(`output ${present} is missing`);
    const value = input.get(name);
    if (!value?.isTensor || value.type !== "float32") throw bad(`input ${name} is not float32`);
    const [, heads, , width] = value.shape;
    if (value.shape.length !== 4 || typeof heads !== "number" || typeof width !== "number") {
      throw bad(`input ${name} does not have the shape [batch, kvHeads, past, headDim] with fixed kvHeads and headDim`);
    }
    caches.push({ name, present, heads, width });
  }
  if (caches.length === 0) throw bad("input past_key_values.0.key is missing");
  return caches;
}
