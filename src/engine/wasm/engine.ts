// The fast engine: weights, KV caches and every intermediate value in one WebAssembly memory, stepped by SIMD kernels.
import type { Adapter, BaseModel, Tensor } from "../../variants/index.ts";
import { layOut, type Plan, sharedKv, tensorsOf } from "../../variants/index.ts";
import { checkLikelihoods } from "../likelihoods.ts";
import { asEverywhere, frequencies } from "../rope.ts";
import type { TokenLogprob } from "../sampling/index.ts";
import { type Engine, EngineError, type Pace, type Sequence, type StepInput } from "../types.ts";
import type { OpenFile } from "../weights.ts";
import { createAdapters, type LoadedAdapter } from "./adapters.ts";
import { type Entry, forward } from "./forward.ts";
import { createImages } from "./images.ts";
import { instantiate, type KernelBuild, type KernelModules } from "./kernels.ts";
import type { Machine, Work } from "./linear.ts";
import { createMemory } from "./memory.ts";
import { createPrefixes } from "./prefixes.ts";
import { layScratch, MAX_TOP, scratchBytes } from "./scratch.ts";
import { capacityOf, checkCapacity, checkRoom, openSequence, type WasmSequence } from "./sequences.ts";
import { shapesOf, slotProblem } from "./shapes.ts";

export interface WasmEngineOptions {
  readonly base: BaseModel;
  /** Weight sets of the same checkpoint that it is to have room for beside, as `sharingWith` has them. Default: none. */
  readonly beside?: readonly BaseModel[] | undefined;
  /** Opens the base's weight parts and adapters. */
  readonly open: OpenFile;
  readonly modules: KernelModules;
  /** Called while loading with the share that is done, 0 to 1. */
  readonly onProgress?: ((progress: number) => void) | undefined;
  /** Most bytes that the engine's memory may reach, beside those of `beside`; default 118 MiB, which leaves a 128 MB isolate some for JavaScript. */
  readonly ceilingBytes?: number | undefined;
}

export interface WasmEngine extends Engine {
  /** Which build of the kernels runs. Both compute the same bits. */
  readonly build: KernelBuild;
  /**
   * The likeliest `count` tokens of a row of logits, likeliest first, the lowest id first among equals; `logprob` holds the logit.
   * @param count at most 64
   */
  topLogits(logits: Float32Array, count: number): TokenLogprob[];
}

/** Raised with every change that changes a bit of a logit or a likelihood: test/engine/wasm/digest.test.ts notices. */
const NUMERICS = 1;
const DEFAULT_CEILING = 118 * 2 ** 20;
const MAX_CHUNK = 64;
/** Rows that go through the model together: a prefill chunk and some sequences that decode. */
const ROWS = MAX_CHUNK + 16;

/**
 * @throws EngineError `damaged_weights`; `too_large` when the weights alone are beyond the ceiling; `bad_plan` for shapes or tensor
 * types that the kernels do not take
 */
export async function createWasmEngine(options: WasmEngineOptions): Promise<WasmEngine> {
  const { base, beside = [], open, modules, onProgress, ceilingBytes = DEFAULT_CEILING } = options;
  const shapes = shapesOf(base.config);
  const own = layOut([base]).bytes;
  const memory = createMemory({
    ceilingBytes,
    unitBytes: shapes.pageBytes,
    fixedBytes: own + 64 + scratchBytes(shapes, ROWS),
    besideBytes: layOut([base, ...beside]).bytes - own,
  });
  const { kernels, build } = instantiate(modules, memory.memory);
  const images = createImages(memory, [base, ...beside], open);
  const scratch = layScratch(memory, shapes, ROWS);
  /** Of the plans that sequences were opened with. */
  const addresses = new WeakMap<Tensor, number>();
  const machine: Machine = { kernels, memory, scratch, shapes, at: (tensor) => addresses.get(tensor) as number };
  memory.f32.set(frequencies(base.config, asEverywhere), scratch.frequencies / 4);
  await images.load(base, onProgress);

  const adapters = createAdapters(memory, shapes.pageBytes, open);
  const prefixes = createPrefixes(memory);
  const placed = new WeakSet<Plan>();
  const place = (plan: Plan): void => {
    if (placed.has(plan)) return;
    checkPlan(plan, images.has(plan.base.digest));
    for (const tensor of tensorsIn(plan)) addresses.set(tensor, images.addressOf(plan.base, tensor));
    placed.add(plan);
  };
  const sequences = new WeakSet<Sequence>();
  /** Logits of single rows, by place in the batch. */
  const rows: Float32Array[] = [];
  let stepping = false;

  function outputOf({ logits, tokens }: StepInput, place: number): Float32Array {
    if (logits === "none") return new Float32Array(0);
    if (typeof logits === "object") return new Float32Array(tokens.length * (1 + 2 * logits.top));
    if (logits === "all" && tokens.length > 1) return new Float32Array(tokens.length * shapes.vocab);
    rows[place] ??= new Float32Array(shapes.vocab);
    return rows[place];
  }

  /** Runs what needs memory, and again while it does not fit and there are prefixes or adapters that nothing uses. */
  async function withRoom<T>(run: () => T | Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await run();
      } catch (error) {
        if (!(error instanceof EngineError) || error.code !== "out_of_memory") throw error;
        if (!prefixes.evict() && !adapters.evict()) throw error;
      }
    }
  }

  return {
    name: "wasm",
    digest: `wasm ${NUMERICS}`,
    maxChunk: MAX_CHUNK,
    build,
    capacityOf: (plan) => capacityOf(memory, plan, shapes),
    residentBytes: () => memory.memory.buffer.byteLength,
    load: images.load,

    async open(plan, capacity, scope, prompt) {
      place(plan);
      checkCapacity(memory, plan, shapes, capacity);
      const { adapter } = plan;
      const loaded: LoadedAdapter | undefined = adapter && (await withRoom(() => adapters.acquire(adapter)));
      const tree = scope === undefined ? undefined : prefixes.of(plan, scope);
      // What it is about to take over is held before anything is evicted for it.
      const pinned = prompt && tree ? tree.pin(prompt.tokens, prompt.top) : [];
      const options = { memory, plan, capacity, headDim: shapes.headDim, adapter: loaded, tree, pinned };
      try {
        checkRoom(options, prefixes.evictable + adapters.evictable);
        const sequence = await withRoom(() => openSequence(options));
        sequences.add(sequence);
        return sequence;
      } catch (error) {
        for (const page of pinned) page.users--;
        loaded?.release();
        throw error;
      }
    },

    async switchPlan(sequence, plan) {
      const own = mine(sequence);
      place(plan);
      const loaded = plan.adapter && (await withRoom(() => adapters.acquire(plan.adapter as Adapter)));
      // Only now: while the adapter loaded, the sequence may have been closed or switched.
      const kv = own.closed || own.rewritesShared ? undefined : sharedKv(own.plan, plan);
      if (!kv) {
        loaded?.release();
        throw new EngineError(
          "bad_plan",
          `${plan.id} cannot go on from ${own.plan.id}: not all of its KV caches are there, or not to be changed`,
        );
      }
      own.adopt(plan, kv, loaded);
    },

    async step(batch, pace) {
      if (stepping) throw new Error("one step at a time: the step before has not ended");
      const own = batch.map(check);
      if (new Set(own).size < own.length) throw new Error("a sequence may be in a batch once");
      const outputs = batch.map(outputOf);
      stepping = true;
      const lengths = own.map(({ length }) => length);
      for (const [i, sequence] of own.entries()) {
        sequence.retain();
        sequence.append(batch[i]?.tokens ?? []);
      }
      try {
        let pass: Entry[] = [];
        let held = 0;
        for (const [i, { tokens, logits }] of batch.entries()) {
          if (held + tokens.length > ROWS) {
            await run(forward(machine, pass), pace);
            pass = [];
            held = 0;
          }
          held += tokens.length;
          pass.push({ sequence: own[i] as WasmSequence, tokens, logits, out: outputs[i] as Float32Array });
        }
        await run(forward(machine, pass), pace);
      } catch (error) {
        for (const [i, sequence] of own.entries()) sequence.rewind(lengths[i] as number);
        throw error;
      } finally {
        stepping = false;
        for (const sequence of own) sequence.release();
      }
      return outputs;
    },

    topLogits(logits, count) {
      const wanted = Math.min(count, MAX_TOP, logits.length);
      memory.f32.set(logits.subarray(0, shapes.vocab), scratch.logits / 4);
      kernels.topK(scratch.logits, shapes.vocab, wanted, scratch.top, 0, 0);
      return Array.from({ length: wanted }, (_, i) => {
        const word = scratch.top / 4 + 2 * i;
        return { id: memory.u32[word] as number, logprob: memory.f32[word + 1] as number };
      });
    },
  };

  function mine(sequence: Sequence): WasmSequence {
    if (!sequences.has(sequence)) throw new Error("the sequence is of another engine");
    return sequence as WasmSequence;
  }

  function check({ sequence, tokens, logits }: StepInput): WasmSequence {
    const own = mine(sequence);
    if (own.closed) throw new Error("the sequence is closed");
    if (tokens.length === 0 || tokens.length > MAX_CHUNK) {
      throw new Error(`a step takes 1 to ${MAX_CHUNK} tokens of a sequence, not ${tokens.length}`);
    }
    checkLikelihoods(tokens, logits, shapes.vocab);
    for (const token of tokens) {
      if (!(token >= 0 && token < shapes.vocab)) throw new RangeError(`token ${token} is not below ${shapes.vocab}`);
    }
    if (own.length + tokens.length > own.capacity) {
      throw new EngineError(
        "context_overflow",
        `${own.length + tokens.length} tokens do not fit a sequence of ${own.capacity}`,
      );
    }
    return own;
  }
}

/** Does all work, and pauses where the pace says so. */
async function run(work: Work, pace: Pace): Promise<void> {
  for (const multiplyAdds of work) {
    const pause = pace(multiplyAdds);
    if (pause) await pause;
  }
}

const tensorsIn = ({ embedding, outputNorm, head, slots }: Plan): Tensor[] => [
  ...[embedding, outputNorm, head],
  ...slots.flatMap(({ attn, mlp }) => [attn, mlp].flatMap((part) => (part ? tensorsOf(part) : []))),
];

/** @throws EngineError `bad_plan` that names the tensor or adapter that the kernels do not take */
function checkPlan(plan: Plan, isLoaded: boolean): void {
  const bad = (problem: string): EngineError => new EngineError("bad_plan", `${plan.id}: ${problem}`);
  if (plan.onnx) throw bad("the wasm engine does not run ONNX graphs");
  if (!isLoaded) throw bad(`it is over base ${plan.base.digest}, which is not loaded`);
  const typed = (tensor: Tensor, ...types: Tensor["type"][]): void => {
    if (types.includes(tensor.type)) return;
    throw bad(`the wasm engine needs ${tensor.name} as ${types.join(" or ")}, not ${tensor.type}`);
  };
  typed(plan.embedding, "q8_0");
  typed(plan.head, "q8_0");
  typed(plan.outputNorm, "f32");
  for (const [index, slot] of plan.slots.entries()) {
    for (const part of [slot.attn, slot.mlp]) {
      for (const tensor of part ? tensorsOf(part) : []) {
        if (tensor === part?.norm || tensor === part?.bias) typed(tensor, "f32");
        else typed(tensor, "q4_1", "q8_0");
      }
    }
    const problem = slotProblem(slot, shapesOf(plan.base.config));
    if (problem) throw bad(`slot ${index} has ${problem}`);
  }
  for (const { slot, linear } of plan.adapter?.linears ?? []) {
    const { attn, mlp } = plan.slots[slot] ?? {};
    if (!{ ...attn, ...mlp }[linear]) throw bad(`its adapter changes ${linear} of slot ${slot}, which the plan lacks`);
  }
}
