// The onnxruntime-web engine: the parity oracle in fp32, a serving engine in int8, and the one that runs ONNX files of a user.

import { createHash } from "node:crypto";
import type { BaseModel, Plan } from "../../variants/index.ts";
import { checkLikelihoods, likelihoodsOf } from "../likelihoods.ts";
import { type Engine, EngineError, type Pace, type Sequence, type StepInput } from "../types.ts";
import { type OpenFile, readParts } from "../weights.ts";
import { type CustomModel, loadCustom } from "./custom.ts";
import { createPlanDecoder, type Decoder } from "./decoder.ts";
import type { Mode } from "./linear.ts";
import { loadModel, type Model } from "./model.ts";
import { type Runtime, startRuntime } from "./runtime.ts";

export interface OnnxEngineOptions {
  readonly base: BaseModel;
  /** Opens the weight image's parts, and those of a user's ONNX file when its plan is first opened. */
  readonly open: OpenFile;
  /** `int8` serves; `fp32` is what others are compared with and takes four times the memory. */
  readonly mode: Mode;
  /** `onnxruntime-web/ort-wasm-simd-threaded.wasm`, compiled: a Worker imports it as a module. */
  readonly module: WebAssembly.Module;
  /** Called with the share of the loading that is done, 0 to 1. Default: nobody is told. */
  readonly onProgress?: ((fraction: number) => void) | undefined;
  /** Called between sublayers while loading, with the weights just made ready. Default: gives the event loop a turn each time. */
  readonly pace?: Pace | undefined;
  /** Most bytes that the KV caches of all open sequences may come to take. Default: 1 GiB. */
  readonly kvBytes?: number | undefined;
}

/** Raise it with any change to the graphs that can change a logit. */
const GRAPH_VERSION = 1;
const MAX_CHUNK = 32;
const KV_BYTES = 2 ** 30;
/** Reading the parts is this share of the loading, making the sessions the rest. */
const READING = 0.1;

interface State {
  length: number;
  readonly capacity: number;
  readonly reserved: number;
  readonly decoder: Decoder;
}

/**
 * Loads a base model; all its plans then share it.
 * @throws EngineError `damaged_weights`, or `out_of_memory` when the sessions do not fit
 */
export async function createOnnxEngine(options: OnnxEngineOptions): Promise<Engine> {
  const { base, open, kvBytes = KV_BYTES } = options;
  const runtime = await startRuntime(options.module);
  const model = await readModel(runtime, options);

  const states = new Map<Sequence, State>();
  const custom = new Map<string, Promise<CustomModel>>();
  let reserved = 0;

  function customModel(plan: Plan): Promise<CustomModel> {
    const known = custom.get(plan.fingerprint);
    if (known) return known;
    const loading = loadCustom({ runtime, plan, open });
    custom.set(plan.fingerprint, loading);
    // A file that could not be read may be there the next time.
    loading.catch(() => custom.delete(plan.fingerprint));
    return loading;
  }

  function stateOf(sequence: Sequence): State {
    const state = states.get(sequence);
    if (!state) throw new Error("the sequence is closed, or another engine's");
    return state;
  }

  function check(batch: readonly StepInput[]): void {
    if (new Set(batch.map(({ sequence }) => sequence)).size < batch.length) {
      throw new Error("a sequence is in the batch twice");
    }
    for (const { sequence, tokens, logits } of batch) {
      checkLikelihoods(tokens, logits, base.config.vocab);
      const { length, capacity } = stateOf(sequence);
      if (tokens.length < 1 || tokens.length > MAX_CHUNK) {
        throw new RangeError(`a step takes 1 to ${MAX_CHUNK} tokens of a sequence, not ${tokens.length}`);
      }
      const outside = tokens.find((token) => !(token >= 0 && token < base.config.vocab));
      if (outside !== undefined) throw new RangeError(`token ${outside} is not in the vocabulary`);
      if (length + tokens.length > capacity) {
        throw new EngineError(
          "context_overflow",
          `${length} tokens and ${tokens.length} more are beyond the sequence's ${capacity}`,
        );
      }
    }
  }

  return {
    name: "onnx",
    digest: createHash("sha256")
      .update(JSON.stringify(["onnx", options.mode, runtime.ort.env.versions.web, GRAPH_VERSION]))
      .digest("hex"),
    maxChunk: MAX_CHUNK,
    residentBytes: () =>
      [...states.values()].reduce(
        (sum, { decoder }) => sum + decoder.kvBytes,
        runtime.memory.buffer.byteLength + model.embedding.bytes,
      ),

    capacityOf: (plan) =>
      plan.onnx
        ? plan.contextLength
        : Math.min(plan.contextLength, Math.floor(kvBytes / (plan.costs.kvValues * Float32Array.BYTES_PER_ELEMENT))),

    async open(plan, capacity) {
      if (plan.base.digest !== base.digest) {
        throw new EngineError("bad_plan", `${plan.id} is of other weights than the ${base.id} that is loaded`);
      }
      if (plan.adapter) throw new EngineError("bad_plan", `${plan.id}: only the wasm engine runs adapters`);
      const own = plan.onnx ? await customModel(plan) : undefined;
      const bytes = capacity * (own ? own.kvBytesPerToken : plan.costs.kvValues * Float32Array.BYTES_PER_ELEMENT);
      if (reserved + bytes > kvBytes) {
        throw new EngineError(
          "out_of_memory",
          `a KV cache of ${capacity} tokens takes ${bytes} bytes, and ${kvBytes - reserved} of ${kvBytes} are free`,
        );
      }
      reserved += bytes;
      const decoder = own ? own.decoder() : createPlanDecoder({ ort: runtime.ort, model, plan, capacity });
      const state: State = { length: 0, capacity, reserved: bytes, decoder };
      const sequence: Sequence = {
        plan,
        get length() {
          return state.length;
        },
        truncate(to) {
          if (!(to >= 0 && to <= state.length))
            throw new RangeError(`a sequence of ${state.length} tokens cannot be cut to ${to}`);
          state.length = to;
        },
        close() {
          if (!states.delete(sequence)) return;
          reserved -= state.reserved;
          decoder.close();
        },
      };
      states.set(sequence, state);
      return sequence;
    },

    async switchPlan(sequence, plan) {
      throw new EngineError("bad_plan", `the onnx engine cannot go on from ${sequence.plan.id} with ${plan.id}`);
    },

    async step(batch, pace) {
      check(batch);
      const entries = batch.map((entry) => ({ ...entry, state: stateOf(entry.sequence) }));
      const results: Float32Array[] = [];
      for (const { state, tokens, logits } of entries) {
        const wanted = typeof logits === "string" ? logits : "all";
        const rows = await state.decoder.run(tokens, state.length, wanted, pace);
        spoil(rows, base.config.vocab);
        results.push(typeof logits === "string" ? rows : likelihoodsOf(rows, base.config.vocab, logits));
      }
      // Only now, so that a step that fails leaves every sequence as it was.
      for (const { state, tokens } of entries) state.length += tokens.length;
      return results;
    },
  };
}

/** Makes every row that holds NaN or infinity all NaN. */
function spoil(logits: Float32Array, vocab: number): void {
  for (let start = 0; start < logits.length; start += vocab) {
    const row = logits.subarray(start, start + vocab);
    if (!row.every(Number.isFinite)) row.fill(Number.NaN);
  }
}

/** A function of its own, so that the image is free when it is done. */
async function readModel(
  runtime: Runtime,
  { base, open, mode, onProgress = () => {}, pace = nextTurn }: OnnxEngineOptions,
): Promise<Model> {
  const image = new Uint8Array(base.imageBytes);
  await readParts(base.parts, image, {
    open,
    onProgress: (bytes) => onProgress((READING * bytes) / base.imageBytes),
  });
  return loadModel({
    runtime,
    base,
    image,
    mode,
    pace,
    onProgress: (fraction) => onProgress(READING + (1 - READING) * fraction),
  });
}

const nextTurn: Pace = () => new Promise((resolve) => setTimeout(resolve, 0));
