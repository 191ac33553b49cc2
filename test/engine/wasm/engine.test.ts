import { describe, expect, it } from "vitest";
import plain from "../../../dist/kernels/plain.wasm";
import relaxed from "../../../dist/kernels/relaxed.wasm";
import { mulberry32 } from "../../../evaluation/random.ts";
import { likelihoodsOf } from "../../../src/engine/likelihoods.ts";
import { EngineError, type Sequence } from "../../../src/engine/types.ts";
import { createWasmEngine, type WasmEngine, type WasmEngineOptions } from "../../../src/engine/wasm/index.ts";
import type { Plan } from "../../../src/variants/plan.ts";
import { asKernels, reference } from "./reference.ts";
import { config, MIXED, makeTiny, narrowPlan, openFrom, tinyPlan } from "./tiny.ts";

const noPace = () => undefined;
const tiny = makeTiny();
const whole = tinyPlan(tiny.base);
const shuffled = tinyPlan(tiny.base, [
  { layer: 2 },
  { layer: 0, attn: false },
  { layer: 1 },
  { layer: 1, mlp: false },
  { layer: 2 },
]);
const narrow = narrowPlan(tiny.base);
const mixed = makeTiny({ eight: MIXED });
const load = (options: Partial<WasmEngineOptions> = {}): Promise<WasmEngine> =>
  createWasmEngine({ base: tiny.base, open: tiny.open, modules: { relaxed, plain }, ...options });

const randomTokens = (count: number, seed: number): number[] => {
  const random = mulberry32(seed);
  return Array.from({ length: count }, () => Math.floor(random() * config.vocab));
};
const tokens = randomTokens(100, 7);

/** Logits after every token, appended in chunks of these sizes, the last of them again and again. */
async function logitsOf(engine: WasmEngine, plan: Plan, ids: readonly number[], chunks: readonly number[]) {
  const sequence = await engine.open(plan, ids.length);
  const rows: Float32Array[] = [];
  for (let at = 0, step = 0; at < ids.length; step++) {
    const size = Math.min(chunks[Math.min(step, chunks.length - 1)] ?? 1, ids.length - at);
    const [logits] = await engine.step([{ sequence, tokens: ids.slice(at, at + size), logits: "all" }], noPace);
    for (let i = 0; i < size; i++) rows.push(logits!.slice(i * config.vocab, (i + 1) * config.vocab));
    at += size;
  }
  sequence.close();
  return rows;
}

const bits = (logits: Float32Array): string => Buffer.from(logits.slice().buffer).toString("hex");
const rms = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.sqrt(Array.from(a, (value, i) => (value - b[i]!) ** 2).reduce((x, y) => x + y) / a.length);
const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;
const mean = (values: number[]): number => values.reduce((a, b) => a + b) / values.length;

describe("the arithmetic", () => {
  // One sublayer rounds as the plain code does, but for the rare value that lies on the edge between two integers.
  it.each([
    ["attention", tinyPlan(tiny.base, [{ layer: 1, mlp: false }])],
    ["an MLP", tinyPlan(tiny.base, [{ layer: 1, attn: false }])],
    [
      "pruned attention with a bias",
      { ...narrow, slots: [{ ...narrow.slots[1]!, attn: { ...narrow.slots[1]!.attn!, kv: 0 }, mlp: undefined }] },
    ],
    ["a pruned MLP with a bias", { ...narrow, slots: [{ ...narrow.slots[1]!, attn: undefined }] }],
    ["attention of 8 bits", tinyPlan(mixed.base, [{ layer: 0, mlp: false }]), mixed],
    ["attention with k and o of 8 bits", tinyPlan(mixed.base, [{ layer: 1, mlp: false }]), mixed],
    ["an MLP of 8 bits", tinyPlan(mixed.base, [{ layer: 0, attn: false }]), mixed],
    ["an MLP with a gate of 8 bits", tinyPlan(mixed.base, [{ layer: 1, attn: false }]), mixed],
    [
      "a pruned MLP with up and down of 8 bits",
      { ...narrowPlan(mixed.base), slots: [{ ...narrowPlan(mixed.base).slots[1]!, attn: undefined }] },
      mixed,
    ],
  ])("of %s is that of plain code", async (_, plan, { base, open, image } = tiny) => {
    const rows = await logitsOf(await load({ base, open }), plan, tokens, [64]);
    const expected = reference(plan, image, tokens, asKernels);
    expect(median(rows.map((row, i) => rms(row, expected[i]!)))).toBeLessThan(5e-4);
  });

  // Through layers such edges add up, but never beyond what rounding itself costs.
  it.each([
    ["a whole plan", whole],
    ["skipped, repeated and partial slots", shuffled],
    ["a plan with a pruned slot", narrow],
    ["a plan of 4 and 8 bits", tinyPlan(mixed.base), mixed],
    ["a plan of 4 and 8 bits with a pruned slot", narrowPlan(mixed.base), mixed],
  ])("of %s is within the noise of 8-bit activations", async (_, plan, { base, open, image } = tiny) => {
    const rows = await logitsOf(await load({ base, open }), plan, tokens, [64]);
    const exact = reference(plan, image, tokens);
    const rounded = reference(plan, image, tokens, asKernels);
    const noise = mean(rounded.map((row, i) => rms(row, exact[i]!)));
    const size = mean(exact.map((row) => rms(row, new Float32Array(row.length))));
    expect(noise).toBeLessThan(0.05 * size);
    expect(mean(rows.map((row, i) => rms(row, exact[i]!)))).toBeLessThan(1.2 * noise);
  });

  it.each([
    ["4 bits", tiny, shuffled],
    ["4 and 8 bits", mixed, tinyPlan(mixed.base)],
  ])("gives the same bits with relaxed and with plain SIMD, of %s", async (_, { base, open }, plan) => {
    const engines = [await load({ base, open }), await load({ base, open, modules: { plain } })];
    expect(engines.map((engine) => engine.build)).toEqual(["relaxed", "plain"]);
    const [a, b] = await Promise.all(engines.map((engine) => logitsOf(engine, plan, tokens, [64])));
    expect(a!.map(bits)).toEqual(b!.map(bits));
  });

  it("gives the same bits however a prompt is cut into chunks", async () => {
    const engine = await load();
    const atOnce = (await logitsOf(engine, whole, tokens, [64])).map(bits);
    for (const chunks of [[1], [7], [8], [11], [3, 61], [2, 4, 5, 33]]) {
      expect((await logitsOf(engine, whole, tokens, chunks)).map(bits)).toEqual(atOnce);
    }
  });
});

it("keeps pages for the KV heads that a slot has, and no more", async () => {
  const engine = await load({ ceilingBytes: 2 ** 21 });
  const many = (plan: Plan): Plan => ({
    ...plan,
    slots: Array.from({ length: 100 }, (_, kv) => ({
      ...plan.slots[1]!,
      attn: { ...plan.slots[1]!.attn!, kv },
      mlp: undefined,
    })),
    kvSlots: 100,
  });
  const [wide, half] = [engine.capacityOf(many(whole)), engine.capacityOf(many(narrow))];
  expect(wide).toBeGreaterThan(0);
  expect(half).toBeLessThan(config.contextLength);
  expect(half).toBeGreaterThanOrEqual(2 * wide);
  // All of it is there: the last token's pages are not beyond the ceiling.
  const sequence = await engine.open(many(narrow), half);
  for (let at = 0; at < half; at += 64) {
    const ids = tokens.slice(0, Math.min(64, half - at));
    await engine.step([{ sequence, tokens: ids, logits: "none" }], noPace);
  }
  await expect(engine.open(many(narrow), 1)).rejects.toMatchObject({ code: "out_of_memory" });
  sequence.close();
});

describe("a batch", () => {
  it("gives each of eight sequences, of three plans, the bits that it has alone", async () => {
    const engine = await load();
    const plans = [whole, shuffled, narrow];
    const prompts = Array.from({ length: 8 }, (_, i) => randomTokens(3 + 5 * i, i));
    const alone = [];
    for (const [i, prompt] of prompts.entries()) {
      const rows = await logitsOf(engine, plans[i % 3]!, [...prompt, 5, 9], [prompt.length, 1]);
      alone.push(rows.slice(-3).map(bits));
    }
    const sequences = await Promise.all(prompts.map((prompt, i) => engine.open(plans[i % 3]!, prompt.length + 2)));
    const step = async (ids: (i: number) => number[]) =>
      (
        await engine.step(
          sequences.map((sequence, i) => ({ sequence, tokens: ids(i), logits: "last" as const })),
          noPace,
        )
      ).map(bits);
    const together = [await step((i) => prompts[i]!), await step(() => [5]), await step(() => [9])];
    for (const i of prompts.keys()) expect(together.map((rows) => rows[i])).toEqual(alone[i]);
  });

  it("may hold more tokens than go through the model at once", async () => {
    const engine = await load();
    const sequences = await Promise.all([0, 1, 2].map(() => engine.open(whole, 64)));
    const [first, second, third] = await engine.step(
      sequences.map((sequence) => ({ sequence, tokens: tokens.slice(0, 64), logits: "last" as const })),
      noPace,
    );
    expect(bits(second!)).toBe(bits(first!));
    expect(bits(third!)).toBe(bits(first!));
  });

  it("gives none, one or all rows of logits, as each entry wants", async () => {
    const engine = await load();
    const wanted = ["none", "last", "all"] as const;
    const sequences = await Promise.all(wanted.map(() => engine.open(whole, 8)));
    const outputs = await engine.step(
      sequences.map((sequence, i) => ({ sequence, tokens: [1, 2, 3], logits: wanted[i]! })),
      noPace,
    );
    expect(outputs.map((logits) => logits.length)).toEqual([0, config.vocab, 3 * config.vocab]);
    expect(bits(outputs[2]!.slice(2 * config.vocab))).toBe(bits(outputs[1]!));
  });

  it("gives likelihoods that are the softmax of the logits, the same bits however they are batched and cut", async () => {
    const engine = await load();
    const targets = randomTokens(tokens.length, 8);
    const expected = likelihoodsOf(
      (await logitsOf(engine, whole, tokens, [64])).reduce(
        (all, row, i) => {
          all.set(row, i * config.vocab);
          return all;
        },
        new Float32Array(tokens.length * config.vocab),
      ),
      config.vocab,
      { targets, top: 3 },
    );
    const cut = async (chunks: number[]): Promise<number[]> => {
      const sequence = await engine.open(whole, tokens.length);
      const other = await engine.open(shuffled, tokens.length);
      const rows: number[] = [];
      for (let at = 0, step = 0; at < tokens.length; step++) {
        const end = Math.min(tokens.length, at + (chunks[Math.min(step, chunks.length - 1)] as number));
        const [own] = await engine.step(
          [
            { sequence, tokens: tokens.slice(at, end), logits: { targets: targets.slice(at, end), top: 3 } },
            { sequence: other, tokens: [at], logits: "last" },
          ],
          noPace,
        );
        rows.push(...own!);
        at = end;
      }
      sequence.close();
      other.close();
      return rows;
    };
    const rows = await cut([64]);
    expect(rows).toHaveLength(expected.length);
    for (const [i, value] of rows.entries()) expect(value).toBeCloseTo(expected[i]!, 5);
    expect(await cut([1, 3, 17])).toEqual(rows);
    expect(await cut([5])).toEqual(rows);
  });

  it.each([
    ["too few targets", { targets: [1], top: 0 }],
    ["a target beyond the vocabulary", { targets: [1, config.vocab], top: 0 }],
    ["more of the likeliest than it lists", { targets: [1, 2], top: 21 }],
  ])("refuses %s", async (_, logits) => {
    const engine = await load();
    const sequence = await engine.open(whole, 8);
    await expect(engine.step([{ sequence, tokens: [1, 2], logits }], noPace)).rejects.toThrow(RangeError);
    expect(sequence.length).toBe(0);
  });

  it("goes on under another plan with the KV caches that both have", async () => {
    const engine = await load();
    const lastOf = async (sequence: Sequence, ids: readonly number[]) =>
      bits((await engine.step([{ sequence, tokens: ids, logits: "last" }], noPace))[0]!);
    // K and V of the first layers don't depend on what the last one lacks.
    const lighter = tinyPlan(tiny.base, [{ layer: 0 }, { layer: 1 }, { layer: 2, attn: false }]);
    const fresh = await engine.open(lighter, 40);
    const switched = await engine.open(whole, 40);
    await lastOf(fresh, tokens.slice(0, 35));
    await lastOf(switched, tokens.slice(0, 35));
    await engine.switchPlan(switched, lighter);
    expect(switched.plan).toBe(lighter);
    expect(await lastOf(switched, tokens.slice(35, 38))).toBe(await lastOf(fresh, tokens.slice(35, 38)));
    await expect(engine.switchPlan(switched, whole)).rejects.toThrow(/cannot go on/);
    expect(await lastOf(switched, tokens.slice(38, 40))).toBe(await lastOf(fresh, tokens.slice(38, 40)));
    const before = engine.residentBytes();
    for (const sequence of [fresh, switched]) sequence.close();
    for (let i = 0; i < 20; i++) (await engine.open(whole, 40)).close();
    expect(engine.residentBytes()).toBe(before);
  });

  it("goes on from where a sequence was cut as if nothing had been there", async () => {
    const engine = await load();
    const sequence = await engine.open(whole, 100);
    const last = async (ids: readonly number[]) =>
      bits((await engine.step([{ sequence, tokens: ids, logits: "last" }], noPace))[0]!);
    await last(tokens.slice(0, 40));
    const first = await last(tokens.slice(40, 60));
    for (const length of [40, 33, 32, 5, 0]) {
      sequence.truncate(length);
      await last(randomTokens(37, length));
      sequence.truncate(length);
      if (length < 40) await last(tokens.slice(length, 40));
      expect(await last(tokens.slice(40, 60))).toBe(first);
    }
    expect(() => sequence.truncate(61)).toThrow(RangeError);
  });

  it("reports NaN for the sequence that it came up in, and for no other", async () => {
    const poisoned = makeTiny({ poisoned: 13 });
    const engine = await load({ base: poisoned.base, open: poisoned.open });
    const plan = tinyPlan(poisoned.base);
    const sequences = await Promise.all([0, 1, 2].map(() => engine.open(plan, 8)));
    const outputs = await engine.step(
      sequences.map((sequence, i) => ({ sequence, tokens: i === 1 ? [3, 13, 4] : [3, 4, 5], logits: "all" as const })),
      noPace,
    );
    const rowsThatAreNaN = outputs.map((logits) =>
      [0, 1, 2].filter((row) => logits.subarray(row * config.vocab, (row + 1) * config.vocab).every(Number.isNaN)),
    );
    expect(rowsThatAreNaN).toEqual([[], [1, 2], []]);
    expect(outputs.map((logits) => logits.some(Number.isNaN))).toEqual([false, true, false]);
    // Its pages hold NaN; who gets them next must not see it.
    for (const sequence of sequences) sequence.close();
    const [after] = await logitsOf(engine, plan, [3], [1]);
    expect(bits(after!)).toBe(bits(outputs[0]!.slice(0, config.vocab)));
  });
});

describe("memory", () => {
  const MIB = 2 ** 20;
  const tight = () => load({ ceilingBytes: 2 * MIB });
  /** Opens sequences until the engine refuses. */
  async function fill(engine: WasmEngine): Promise<{ sequences: Sequence[]; refusal: unknown }> {
    const sequences: Sequence[] = [];
    for (;;) {
      try {
        sequences.push(await engine.open(whole, 200));
      } catch (refusal) {
        return { sequences, refusal };
      }
    }
  }

  it("refuses a sequence that would go beyond the ceiling, with the numbers", async () => {
    const { sequences, refusal } = await fill(await tight());
    expect(sequences.length).toBeGreaterThan(2);
    expect(refusal).toBeInstanceOf(EngineError);
    expect(refusal).toMatchObject({ code: "out_of_memory" });
    expect((refusal as Error).message).toMatch(
      /200 tokens of tiny needs \d+\.\d MiB, of 2\.0 MiB .* \d+\.\d MiB are free/,
    );
  });

  it("keeps its promise: all sequences that were opened can be filled", async () => {
    const engine = await tight();
    const { sequences } = await fill(engine);
    for (let at = 0; at < 200; at += 50) {
      for (const sequence of sequences) {
        await engine.step([{ sequence, tokens: tokens.slice(0, 50), logits: "none" }], noPace);
      }
    }
    expect(sequences.every((sequence) => sequence.length === 200)).toBe(true);
    expect(engine.residentBytes()).toBeLessThanOrEqual(2 * MIB + 4 * config.vocab);
  });

  it("takes back what a closed sequence held", async () => {
    const engine = await tight();
    const first = await fill(engine);
    for (const sequence of first.sequences) sequence.close();
    first.sequences[0]!.close();
    const resident = engine.residentBytes();
    const second = await fill(engine);
    expect(second.sequences.length).toBe(first.sequences.length);
    expect(engine.residentBytes()).toBe(resident);
  });

  it("grows for tokens, not for capacity", async () => {
    const engine = await load();
    const before = engine.residentBytes();
    const sequence = await engine.open(whole, 256);
    expect(engine.residentBytes()).toBe(before);
    sequence.close();
  });
});

describe("a step", () => {
  it("appends nothing when one entry goes beyond its capacity", async () => {
    const engine = await load();
    const roomy = await engine.open(whole, 10);
    const small = await engine.open(whole, 2);
    const step = engine.step(
      [
        { sequence: roomy, tokens: [1], logits: "last" },
        { sequence: small, tokens: [1, 2, 3], logits: "last" },
      ],
      noPace,
    );
    await expect(step).rejects.toMatchObject({ code: "context_overflow" });
    expect([roomy.length, small.length]).toEqual([0, 0]);
  });

  it("appends nothing when the pace breaks a step off, and the next one gives the same bits", async () => {
    const engine = await load();
    const expected = (await logitsOf(engine, whole, tokens.slice(0, 60), [20])).at(-1)!;
    const first = await engine.open(whole, 64, "scope");
    await engine.step([{ sequence: first, tokens: tokens.slice(0, 32), logits: "none" }], noPace);
    first.share?.();
    const sequence = await engine.open(whole, 64, "scope");
    sequence.reuse?.(tokens.slice(0, 33));
    const other = await engine.open(shuffled, 4);
    // Everywhere in the step: in the first piece of work, in the last, and between.
    let pieces = 0;
    const count = () => {
      pieces++;
      return undefined;
    };
    await engine.step([{ sequence: other, tokens: [3], logits: "last" }], count);
    other.truncate(0);
    for (let at = 0; at < pieces; at++) {
      let done = 0;
      const step = engine.step(
        [
          { sequence, tokens: tokens.slice(32, 60), logits: "last" },
          { sequence: other, tokens: [3], logits: "last" },
        ],
        () => {
          if (done++ === at) throw new Error("later");
          return undefined;
        },
      );
      await expect(step).rejects.toThrow("later");
      expect([sequence.length, other.length]).toEqual([32, 0]);
    }
    const [logits] = await engine.step([{ sequence, tokens: tokens.slice(32, 60), logits: "last" }], noPace);
    expect(bits(logits!)).toBe(bits(expected));
  });

  it("waits where the pace says so and counts all multiply-adds", async () => {
    const engine = await load();
    const sequence = await engine.open(whole, 8);
    let counted = 0;
    let waiting = 0;
    const [logits] = await engine.step([{ sequence, tokens: [1, 2], logits: "all" }], (multiplyAdds) => {
      counted += multiplyAdds;
      return new Promise((resolve) => {
        waiting++;
        setTimeout(() => {
          waiting--;
          resolve();
        });
      });
    });
    expect(waiting).toBe(0);
    expect(counted).toBeGreaterThanOrEqual(2 * whole.costs.multiplyAdds);
    expect(counted).toBeLessThan(2.2 * whole.costs.multiplyAdds);
    expect((await logitsOf(engine, whole, [1, 2], [2])).map(bits).join("")).toBe(bits(logits!));
  });

  it("keeps the pages of a sequence that is closed meanwhile until it ends", async () => {
    const engine = await load();
    const expected = (await logitsOf(engine, whole, tokens.slice(0, 40), [40])).at(-1)!;
    const sequence = await engine.open(whole, 64);
    let other: Promise<void> | undefined;
    const [logits] = await engine.step([{ sequence, tokens: tokens.slice(0, 40), logits: "last" }], () => {
      sequence.close();
      other ??= engine.open(whole, 64).then(() => undefined);
      return other;
    });
    expect(bits(logits!)).toBe(bits(expected));
    await expect(engine.step([{ sequence, tokens: [1], logits: "last" }], noPace)).rejects.toThrow("closed");
  });
});

describe("loading", () => {
  it("names a damaged part", async () => {
    const [part] = tiny.base.parts;
    const open = async (file: { file: string; sha256: string; bytes: number }) =>
      file.file === part!.file ? openFrom(new Map([[file.file, new Uint8Array(file.bytes)]]))(file) : tiny.open(file);
    await expect(load({ open })).rejects.toMatchObject({
      code: "damaged_weights",
      message: expect.stringContaining(part!.file),
    });
  });

  it("refuses tensor types that the kernels do not take, naming the tensor", async () => {
    const engine = await load();
    const attn = { ...whole.slots[0]!.attn!, q: { ...whole.slots[0]!.attn!.q, type: "f32" as const } };
    const plan = { ...whole, slots: [{ ...whole.slots[0]!, attn }] };
    await expect(engine.open(plan, 8)).rejects.toMatchObject({
      code: "bad_plan",
      message: expect.stringContaining("blk.0.attn_q.weight as q4_1 or q8_0, not f32"),
    });
  });

  it("lists the likeliest tokens", async () => {
    const engine = await load();
    const logits = new Float32Array(config.vocab).fill(-1);
    logits.set([3, 5, 5, 4], 100);
    expect(engine.topLogits(logits, 4).map(({ id }) => id)).toEqual([101, 102, 103, 100]);
    expect(engine.topLogits(logits, 6).map(({ id }) => id)).toEqual([101, 102, 103, 100, 0, 1]);
  });
});
