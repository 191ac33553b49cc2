import { describe, expect, it } from "vitest";
import plain from "../../../dist/kernels/plain.wasm";
import relaxed from "../../../dist/kernels/relaxed.wasm";

import { createWasmEngine, type WasmEngine } from "../../../src/engine/wasm/index.ts";
import type { Plan } from "../../../src/variants/plan.ts";
import { asKernels, reference } from "./reference.ts";
import { config, makeTiny, randomNumbers, tinyPlan } from "./tiny.ts";

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
const load = (modules: Parameters<typeof createWasmEngine>[0]["modules"] = { relaxed, plain }): Promise<WasmEngine> =>
  createWasmEngine({ base: tiny.base, open: tiny.open, modules });

const random = randomNumbers(7);
const randomTokens = (count: number): number[] =>
  Array.from({ length: count }, () => Math.floor(random() * config.vocab));
const tokens = randomTokens(100);

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
const difference = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)));

describe("the wasm engine", () => {
  it.each([
    ["a whole plan", whole],
    ["skipped, repeated and partial slots", shuffled],
  ])("computes %s as plain code does", async (_, plan) => {
    const rows = await logitsOf(await load(), plan, tokens, [64]);
    const expected = reference(plan, tiny.image, tokens, asKernels);
    for (const [i, row] of rows.entries()) expect(difference(row, expected[i]!), `token ${i}`).toBeLessThan(0.05);
  });

  it("computes the same bits with relaxed and with plain SIMD", async () => {
    const engines = [await load(), await load({ plain })];
    expect(engines.map((engine) => engine.build)).toEqual(["relaxed", "plain"]);
    const [a, b] = await Promise.all(engines.map((engine) => logitsOf(engine, shuffled, tokens, [64])));
    expect(a!.map(bits)).toEqual(b!.map(bits));
  });

  it("computes the same bits however a prompt is cut into chunks", async () => {
    const engine = await load();
    const atOnce = (await logitsOf(engine, whole, tokens, [64])).map(bits);
    for (const chunks of [[1], [7], [3, 61], [2, 4, 5, 33]]) {
      expect((await logitsOf(engine, whole, tokens, chunks)).map(bits)).toEqual(atOnce);
    }
  });
});
