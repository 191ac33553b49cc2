import { describe, expect, it } from "vitest";
import plain from "../../../dist/kernels/plain.wasm";
import relaxed from "../../../dist/kernels/relaxed.wasm";
import { mulberry32 } from "../../../evaluation/random.ts";
import type { Sequence } from "../../../src/engine/types.ts";
import { createWasmEngine, type WasmEngine } from "../../../src/engine/wasm/index.ts";
import { config, makeTiny, tinyPlan } from "./tiny.ts";

const noPace = () => undefined;
const tiny = makeTiny();
const plan = tinyPlan(tiny.base);
const lighter = tinyPlan(tiny.base, [{ layer: 0 }, { layer: 1 }, { layer: 2, attn: false }]);
const load = (ceilingBytes?: number): Promise<WasmEngine> =>
  createWasmEngine({ base: tiny.base, open: tiny.open, modules: { relaxed, plain }, ceilingBytes });

const random = mulberry32(3);
const tokens = Array.from({ length: 100 }, () => Math.floor(random() * config.vocab));
const bits = (values: Float32Array): string => Buffer.from(values.slice().buffer).toString("hex");

async function prefill(engine: WasmEngine, sequence: Sequence, ids: readonly number[]): Promise<string> {
  let last = "";
  for (let at = sequence.length; at < ids.length; at += 16) {
    const [logits] = await engine.step([{ sequence, tokens: ids.slice(at, at + 16), logits: "last" }], noPace);
    last = bits(logits!);
  }
  return last;
}

/** Likelihoods of all tokens but the first, with two of the likeliest. */
async function likelihoods(engine: WasmEngine, sequence: Sequence, ids: readonly number[]): Promise<number[]> {
  const rows: number[] = [];
  for (let at = sequence.length; at < ids.length - 1; at += 16) {
    const some = ids.slice(at, Math.min(at + 16, ids.length - 1));
    const targets = ids.slice(at + 1, at + 1 + some.length);
    const [out] = await engine.step([{ sequence, tokens: some, logits: { targets, top: 2 } }], noPace);
    rows.push(...out!);
  }
  return rows;
}

describe("shared prefixes", () => {
  it("save the tokens that an earlier prompt began with, and change no bit", async () => {
    const engine = await load();
    const first = await engine.open(plan, 100, "a");
    expect(first.reuse?.(tokens)).toHaveLength(0);
    const expected = await prefill(engine, first, tokens);
    first.share?.();
    for (const [length, held] of [
      [100, 96],
      [97, 96],
      [96, 95],
      [70, 64],
      [33, 32],
      [32, 31],
      [31, 0],
    ] as const) {
      const fresh = await engine.open(plan, 100);
      const sequence = await engine.open(plan, 100, "a");
      sequence.reuse?.(tokens.slice(0, length));
      expect([length, sequence.length]).toEqual([length, held]);
      expect(fresh.reuse?.(tokens.slice(0, length))).toHaveLength(0);
      expect(await prefill(engine, sequence, tokens.slice(0, length))).toBe(
        await prefill(engine, fresh, tokens.slice(0, length)),
      );
      fresh.close();
      sequence.close();
    }
    first.close();
    const later = await engine.open(plan, 100, "a");
    later.reuse?.(tokens);
    expect(later.length).toBe(96);
    expect(await prefill(engine, later, tokens)).toBe(expected);
  });

  it("are found neither by another scope, nor under another plan, nor past the first token that differs", async () => {
    const engine = await load();
    const first = await engine.open(plan, 100, "a");
    await prefill(engine, first, tokens);
    first.share?.();
    const held = async (other: typeof plan, scope: string, ids: readonly number[]): Promise<number> => {
      const sequence = await engine.open(other, 100, scope);
      sequence.reuse?.(ids);
      return sequence.length;
    };
    expect(await held(plan, "b", tokens)).toBe(0);
    expect(await held(lighter, "a", tokens)).toBe(0);
    expect(await held(plan, "a", tokens.with(50, (tokens[50]! + 1) % config.vocab))).toBe(32);
    expect(await held(plan, "a", tokens.with(0, (tokens[0]! + 1) % config.vocab))).toBe(0);
  });

  it("bring the likelihoods of their tokens along, as many as were asked for then", async () => {
    const engine = await load();
    const first = await engine.open(plan, 100, "a");
    const rows = await likelihoods(engine, first, tokens);
    first.share?.({ top: 2, rows: Float32Array.from(rows) });
    first.close();
    for (const [top, held] of [
      [0, 95],
      [2, 95],
      [3, 0],
      [undefined, 96],
    ] as const) {
      const sequence = await engine.open(plan, 100, "a");
      const known = sequence.reuse?.(tokens, top);
      expect([top, sequence.length]).toEqual([top, held]);
      const narrow = Array.from({ length: held }, (_, i) => rows.slice(5 * i, 5 * i + 1 + 2 * (top ?? 0))).flat();
      expect([...known!]).toEqual(top === undefined ? [] : narrow);
      if (top === 2) expect([...known!, ...(await likelihoods(engine, sequence, tokens))]).toEqual(rows);
      sequence.close();
    }
  });

  it("are kept once, by sequences that computed them side by side too", async () => {
    const engine = await load();
    const both = [await engine.open(plan, 100, "a"), await engine.open(plan, 100, "a")];
    for (const sequence of both) await prefill(engine, sequence, tokens.slice(0, 70));
    for (const sequence of both) sequence.share?.();
    const last = await Promise.all([prefill(engine, both[0]!, tokens)]);
    expect(await prefill(engine, both[1]!, tokens)).toBe(last[0]);
    for (const sequence of both) sequence.share?.();
    for (const sequence of both) sequence.close();
    const before = engine.residentBytes();
    for (let i = 0; i < 20; i++) {
      const again = await engine.open(plan, 100, "a");
      again.reuse?.(tokens);
      await prefill(engine, again, tokens);
      again.share?.();
      again.close();
    }
    expect(engine.residentBytes()).toBe(before);
  });

  it("give way when memory is wanted, the oldest first, but not while they are in use", async () => {
    const engine = await load(2 * 2 ** 20);
    /** Opens sequences until there is no more memory. */
    const fill = async (): Promise<Sequence[]> => {
      const sequences: Sequence[] = [];
      for (;;) {
        try {
          sequences.push(await engine.open(plan, 200));
        } catch (error) {
          expect(error).toMatchObject({ code: "out_of_memory" });
          return sequences;
        }
      }
    };
    const empty = await fill();
    for (const sequence of empty) sequence.close();
    const nth = (n: number): number[] => tokens.map((token) => (token + n) % config.vocab);
    const last = 3 * empty.length;
    const expected: string[] = [];
    for (let n = 0; n <= last; n++) {
      const sequence = await engine.open(plan, 200, "a");
      sequence.reuse?.(nth(n));
      expected.push(await prefill(engine, sequence, nth(n)));
      sequence.share?.();
      sequence.close();
    }
    const [oldest, newest] = [await engine.open(plan, 200, "a"), await engine.open(plan, 200, "a")];
    newest.reuse?.(nth(last));
    oldest.reuse?.(nth(0));
    expect([oldest.length, newest.length]).toEqual([0, 96]);
    const others = await fill();
    expect(await prefill(engine, newest, nth(last))).toBe(expected[last]);
    for (const sequence of [...others, oldest, newest]) sequence.close();
    // All that is shared goes for them, and nothing is lost on the way.
    expect(await fill()).toHaveLength(empty.length);
  });

  it("are held for the sequence that is opened for them, and are not given up in vain", async () => {
    // Room for 7 pages: 3 of the prompt, and 2 of another sequence.
    const engine = await load(10 * 65_536);
    const open = (capacity: number, scope = "a"): Promise<Sequence> => engine.open(plan, capacity, scope, { tokens });
    const first = await open(100);
    const expected = await prefill(engine, first, tokens);
    first.share?.();
    first.close();
    const other = await engine.open(plan, 64);
    await expect(open(192, "b")).rejects.toMatchObject({ code: "out_of_memory" });
    const second = await open(160);
    second.reuse?.(tokens);
    expect(second.length).toBe(96);
    expect(await prefill(engine, second, tokens)).toBe(expected);
    second.close();
    // One that never asks for them is promised memory of its own.
    other.close();
    const third = await open(100);
    expect(await prefill(engine, third, tokens)).toBe(expected);
    third.close();
    (await engine.open(plan, 224)).close();
  });

  it("are not made of what two plans computed, and are not cut", async () => {
    const engine = await load();
    const sequence = await engine.open(plan, 100, "a");
    await prefill(engine, sequence, tokens.slice(0, 40));
    sequence.share?.();
    expect(() => sequence.truncate(31)).toThrow(/32 of them shared/);
    sequence.truncate(32);
    await engine.switchPlan(sequence, lighter);
    await prefill(engine, sequence, tokens);
    sequence.share?.();
    sequence.close();
    const later = await engine.open(plan, 100, "a");
    later.reuse?.(tokens);
    expect(later.length).toBe(32);
    const other = await engine.open(lighter, 100, "a");
    other.reuse?.(tokens);
    expect(other.length).toBe(0);
  });
});
