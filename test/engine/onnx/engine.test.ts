import module from "onnxruntime-web/ort-wasm-simd-threaded.wasm";
import { beforeAll, describe, expect, it } from "vitest";
import { createOnnxEngine } from "../../../src/engine/onnx/index.ts";
import { type Engine, EngineError, type Sequence } from "../../../src/engine/types.ts";
import type { Tensor } from "../../../src/variants/base.ts";
import { compilePlan, type Plan } from "../../../src/variants/plan.ts";
import { tinyRecipe } from "../../support/base.ts";
import { built, config, makeTiny, referenceLogits } from "./tiny.ts";

const { base, image, open } = makeTiny();
const whole = compilePlan(tinyRecipe(), base);
const pruned = compilePlan(
  tinyRecipe([{ layer: 0, mlp: false }, { layer: 2 }, { layer: 2 }, { layer: 1, attn: false }]),
  base,
);
const noPace = () => undefined;
const prompt = [5, 0, 99, 17, 64, 3, 127, 8, 8, 21];

async function append(engine: Engine, sequence: Sequence, tokens: readonly number[]): Promise<Float32Array> {
  const [logits] = await engine.step([{ sequence, tokens, logits: "all" }], noPace);
  return (logits as Float32Array).slice();
}

async function logitsInChunks(engine: Engine, plan: Plan, tokens: readonly number[], chunk: number): Promise<number[]> {
  const sequence = await engine.open(plan, config.contextLength);
  const logits: number[] = [];
  for (let at = 0; at < tokens.length; at += chunk) {
    logits.push(...(await append(engine, sequence, tokens.slice(at, at + chunk))));
  }
  sequence.close();
  return logits;
}

const distance = (a: readonly number[], b: readonly number[]): number => {
  expect(a).toHaveLength(b.length);
  return a.reduce((most, value, i) => {
    const difference = Math.abs(value - (b[i] as number));
    return Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(most, difference);
  }, 0);
};

const code = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "no error",
    (error: unknown) => (error instanceof EngineError ? error.code : error),
  );

describe.each([
  { mode: "fp32", tolerance: 1e-5 },
  { mode: "int8", tolerance: 0.1 },
] as const)("the onnx engine in $mode", ({ mode, tolerance }) => {
  let engine: Engine;
  const progress: number[] = [];
  beforeAll(async () => {
    engine = await createOnnxEngine({ base, open, mode, module, onProgress: (fraction) => progress.push(fraction) });
  });

  it("takes layers that are narrower than the others, with biases", async () => {
    const narrow = makeTiny(true);
    const plan = compilePlan(tinyRecipe([{ layer: 0 }, { layer: 1 }, { layer: 1 }, { layer: 2 }]), narrow.base);
    const own = await createOnnxEngine({ base: narrow.base, open: narrow.open, mode, module });
    const expected = referenceLogits(plan, narrow.image, prompt).flat();
    for (const chunk of [1, 4]) {
      expect(distance(await logitsInChunks(own, plan, prompt, chunk), expected)).toBeLessThan(tolerance);
    }
  });

  it("computes what the decoder's definition says, in chunks of any size", async () => {
    for (const plan of [whole, pruned]) {
      const expected = referenceLogits(plan, image, prompt).flat();
      for (const chunk of [prompt.length, 3, 1]) {
        expect(distance(await logitsInChunks(engine, plan, prompt, chunk), expected)).toBeLessThan(tolerance);
      }
    }
  });

  it("tells of its progress from 0 to 1", () => {
    expect(progress).toEqual([...progress].sort((a, b) => a - b));
    expect(progress[0]).toBeGreaterThan(0);
    expect(progress.at(-1)).toBe(1);
  });

  it("gives the rows that a step asks for", async () => {
    const all = await logitsInChunks(engine, whole, prompt, prompt.length);
    const sequences = await Promise.all([engine.open(whole, 20), engine.open(whole, 20)]);
    const [none, last] = await engine.step(
      [
        { sequence: sequences[0] as Sequence, tokens: prompt, logits: "none" },
        { sequence: sequences[1] as Sequence, tokens: prompt, logits: "last" },
      ],
      noPace,
    );
    expect(none).toHaveLength(0);
    expect(distance([...(last ?? [])], all.slice(-config.vocab))).toBeLessThan(1e-4);
    for (const sequence of sequences) {
      expect(sequence.length).toBe(prompt.length);
      sequence.close();
    }
  });

  it("computes each sequence of a batch to the bit as if it were alone", async () => {
    const alone = [
      await logitsInChunks(engine, whole, prompt, 5),
      await logitsInChunks(engine, pruned, [...prompt].reverse(), 5),
    ];
    const sequences = await Promise.all([engine.open(whole, 20), engine.open(pruned, 20)]);
    const together: number[][] = [[], []];
    for (const at of [0, 5]) {
      const results = await engine.step(
        sequences.map((sequence, i) => ({
          sequence,
          tokens: (i ? [...prompt].reverse() : prompt).slice(at, at + 5),
          logits: "all",
        })),
        noPace,
      );
      for (const [i, logits] of results.entries()) together[i]?.push(...logits);
    }
    expect(together).toEqual(alone);
    for (const sequence of sequences) sequence.close();
  });

  it("appends nothing when one entry of a batch goes beyond its capacity", async () => {
    const [long, short] = await Promise.all([engine.open(whole, 20), engine.open(whole, 4)]);
    await append(engine, long, prompt);
    const before = (await append(engine, long, [1])).slice();
    const tokens = [1, 2, 3, 4, 5];
    const step = engine.step(
      [
        { sequence: long, tokens, logits: "last" },
        { sequence: short, tokens, logits: "last" },
      ],
      noPace,
    );
    expect(await code(step)).toBe("context_overflow");
    expect([long.length, short.length]).toEqual([prompt.length + 1, 0]);
    const again = await engine.open(whole, 20);
    await append(engine, again, prompt);
    expect(await append(engine, again, [1])).toEqual(before);
    for (const sequence of [long, short, again]) sequence.close();
  });

  it("may be stepped again where a step was given up", async () => {
    const sequence = await engine.open(whole, 20);
    await append(engine, sequence, prompt.slice(0, 4));
    const stop = new Error("stop");
    let calls = 0;
    const step = engine.step([{ sequence, tokens: [9, 9, 9], logits: "all" }], () => {
      if (++calls > 3) throw stop;
      return undefined;
    });
    expect(await code(step)).toBe(stop);
    expect(sequence.length).toBe(4);
    const rest = await append(engine, sequence, prompt.slice(4));
    const expected = referenceLogits(whole, image, prompt).slice(4).flat();
    expect(distance([...rest], expected)).toBeLessThan(tolerance);
    sequence.close();
  });

  it("counts the multiply-adds of a token and waits for its turn", async () => {
    const sequence = await engine.open(whole, 8);
    let counted = 0;
    let waiting = 0;
    await engine.step([{ sequence, tokens: [1], logits: "last" }], async (multiplyAdds) => {
      expect(++waiting).toBe(1);
      counted += multiplyAdds;
      await new Promise((resolve) => setTimeout(resolve, 0));
      waiting--;
    });
    const attention = 2 * config.heads * config.headDim * whole.kvSlots;
    expect(counted).toBe(whole.costs.multiplyAdds + attention);
    sequence.close();
  });

  it("counts KV caches while they are open, and refuses one that does not fit", async () => {
    const small = await createOnnxEngine({
      base,
      open,
      mode,
      module,
      kvBytes: 10 * whole.costs.kvValues * Float32Array.BYTES_PER_ELEMENT,
    });
    const first = await small.open(whole, 6);
    expect(await code(small.open(whole, 5))).toBe("out_of_memory");
    const empty = small.residentBytes();
    await append(small, first, [1, 2]);
    expect(small.residentBytes() - empty).toBe(6 * whole.costs.kvValues * Float32Array.BYTES_PER_ELEMENT);
    first.close();
    first.close();
    expect(small.residentBytes()).toBe(empty);
    (await small.open(whole, 10)).close();
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])("gives all NaN where %d comes up, and only there", async (value) => {
    const spoiled = image.slice();
    const norm = whole.slots[2]?.attn?.norm as Tensor;
    new Float32Array(spoiled.buffer, norm.offset, 1).fill(value);
    const { file, open } = built(spoiled);
    const poisoned = { ...base, parts: [file] };
    const engine = await createOnnxEngine({ base: poisoned, open, mode, module });
    const plans = [[{ layer: 0 }], [{ layer: 0 }, { layer: 2 }]].map((slots) =>
      compilePlan(tinyRecipe(slots), poisoned),
    );
    const wanted = ["last", "all", { targets: [1, 2, 3], top: 1 }] as const;
    const inputs = plans.flatMap((plan) => wanted.map((logits) => ({ plan, logits })));
    const batch = inputs.map(async ({ plan, logits }) => ({
      sequence: await engine.open(plan, 3),
      tokens: [3, 4, 5],
      logits,
    }));
    const outputs = await engine.step(await Promise.all(batch), noPace);
    expect(outputs.map(({ length }) => length)).toEqual([1, 1].flatMap(() => [config.vocab, 3 * config.vocab, 9]));
    for (const output of outputs.slice(0, 3)) expect(output.every(Number.isFinite)).toBe(true);
    for (const output of outputs.slice(3)) expect(output.every(Number.isNaN)).toBe(true);
  });

  it("refuses an adapter, which only the wasm engine runs", async () => {
    const adapter = { digest: "a", imageBytes: 1, parts: [{ file: "a", sha256: "a", bytes: 1 }], linears: [] };
    await expect(engine.open({ ...whole, adapter }, 4)).rejects.toThrow(
      new EngineError("bad_plan", "tiny: only the wasm engine runs adapters"),
    );
  });

  it("refuses a plan of other weights and a closed sequence", async () => {
    expect(await code(engine.open({ ...whole, base: { ...base, digest: "other" } }, 4))).toBe("bad_plan");
    const sequence = await engine.open(whole, 4);
    sequence.close();
    await expect(append(engine, sequence, [1])).rejects.toThrow(/closed/);
  });
});

describe("the onnx engine", () => {
  it("names a part that is altered", async () => {
    const altered = image.slice();
    altered[100] = (altered[100] as number) ^ 1;
    const load = createOnnxEngine({
      base,
      open: async () => new Response(altered).body as ReadableStream<Uint8Array>,
      mode: "int8",
      module,
    });
    expect(await code(load)).toBe("damaged_weights");
    await expect(load).rejects.toThrow(base.parts[0]?.file);
  });

  it("has a digest for each mode", async () => {
    const digests = await Promise.all(
      (["fp32", "int8", "int8"] as const).map(
        async (mode) => (await createOnnxEngine({ base, open, mode, module })).digest,
      ),
    );
    expect(digests[0]).toMatch(/^[0-9a-f]{64}$/);
    expect(digests[1]).not.toBe(digests[0]);
    expect(digests[2]).toBe(digests[1]);
  });
});
