// The forward pass against plain double-precision code, over the shapes that LLaMA checkpoints have.
import { describe, expect, it } from "vitest";
import { createForward, type Tokens } from "../../../compress/forward/forward.ts";
import { openModel } from "../../../compress/forward/model.ts";
import { createMomentSums } from "../../../compress/forward/moments.ts";
import { allSlots, tokenNll } from "../../../compress/forward/perplexity.ts";
import { rowCosines } from "../../../compress/importance/cosine.ts";
import { INPUTS, type Input } from "../../../compress/moments.ts";
import type { ModelShape } from "../../../formats/checkpoint.ts";
import { random } from "../../engine/onnx/tiny.ts";
import { type Rows, type TinyOptions, tinyCheckpoint, tinyShape, trace } from "../tiny.ts";

const llama3 = {
  type: "llama3",
  factor: 8,
  lowFreqFactor: 1,
  highFreqFactor: 4,
  originalContextLength: 32,
} as const satisfies ModelShape["ropeScaling"];
const narrower = { heads: 2, kvHeads: 1, ffn: 48 };
const CASES: Record<string, TinyOptions> = {
  "grouped queries and a tied head": {},
  "as many keys as queries, a head of its own": {
    untied: true,
    shape: { ...tinyShape, layers: tinyShape.layers.map((layer) => ({ ...layer, kvHeads: 4 })) },
  },
  "linear scaling of positions": { shape: { ...tinyShape, ropeScaling: { type: "linear", factor: 4 } } },
  "llama3's scaling of positions": { shape: { ...tinyShape, ropeTheta: 500_000, ropeScaling: llama3 } },
  "heads of 8": { shape: { ...tinyShape, headDim: 8 } },
  "heads of 20": { shape: { ...tinyShape, headDim: 20 } },
  "layers narrower than others, without attention or without MLP, and biases": {
    bias: true,
    shape: {
      ...tinyShape,
      layers: [...tinyShape.layers, narrower, { ...narrower, heads: 0, kvHeads: 0 }, { ...narrower, ffn: 0 }],
    },
  },
};

const SEQUENCES = 3;
const LENGTH = 20;
const next = random(7);
const ids = Int32Array.from({ length: SEQUENCES * LENGTH }, () => Math.floor((next() + 0.5) * tinyShape.vocab));
const tokens: Tokens = { sequences: SEQUENCES, length: LENGTH, ids };
const sequence = (i: number): number[] => [...ids.subarray(i * LENGTH, (i + 1) * LENGTH)];

const worst = (ours: ArrayLike<number>, theirs: readonly number[]): number => {
  expect(ours).toHaveLength(theirs.length);
  return theirs.reduce((most, value, i) => Math.max(most, Math.abs(value - ours[i]!)), 0);
};

const moments = (x: Rows) => {
  const cols = x[0]!.length;
  const sums = (of: (row: readonly number[]) => number) => x.reduce((sum, row) => sum + of(row), 0);
  const range = Array.from({ length: cols }, (_, i) => i);
  return {
    sum: range.map((i) => sums((row) => row[i]!)),
    squares: range.map((i) => sums((row) => row[i]! ** 2)),
    gram: range.flatMap((i) => range.map((j) => sums((row) => row[i]! * row[j]!))),
  };
};

const cosine = (a: readonly number[], b: readonly number[]): number => {
  const dot = (x: readonly number[], y: readonly number[]) => x.reduce((sum, value, i) => sum + value * y[i]!, 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
};

describe.each(Object.entries(CASES))("with %s", (_, options) => {
  const checkpoint = tinyCheckpoint(options);
  const model = openModel(checkpoint);
  const slots = allSlots(model);

  it("gives the likelihoods of plain code, under any order of sublayers", async () => {
    const forward = createForward({ shape: model.shape });
    const mixed = [
      { layer: 3, attn: true, mlp: true },
      { layer: 0, attn: false, mlp: true },
      { layer: 0, attn: true, mlp: false },
      { layer: 2, attn: true, mlp: true },
      { layer: 2, attn: true, mlp: true },
    ];
    for (const order of [slots, mixed]) {
      const expected: number[] = [];
      for (let i = 0; i < SEQUENCES; i++) expected.push(...(await trace(checkpoint, order, sequence(i))).nll);
      expect(worst(await tokenNll(forward, model, order, tokens), expected)).toBeLessThan(1e-4);
    }
    await forward.close();
  });

  it("gives states, similarities and moments layer by layer", async () => {
    const forward = createForward({ shape: model.shape });
    const traces = await Promise.all(
      Array.from({ length: SEQUENCES }, (_, i) => trace(checkpoint, slots, sequence(i))),
    );
    let x = forward.embed(await model.embedding(), tokens);
    for (const slot of slots) {
      const summing = createMomentSums<Input>({ gram: true });
      const after = await forward.layer(await model.layer(slot.layer), x, {
        sums: summing,
      });
      const of = (key: "before" | "after") => traces.flatMap((one) => one.slots[slot.layer]![key]);
      expect(worst(after.values, of("after").flat())).toBeLessThan(1e-4);
      const cosines = of("before").map((row, i) => cosine(row, of("after")[i]!));
      expect(worst(rowCosines(x, after), cosines)).toBeLessThan(1e-5);
      for (const input of INPUTS) {
        const rows = traces.flatMap((one) => one.slots[slot.layer]!.inputs[input]);
        const sums = summing.moments().get(input);
        expect(sums !== undefined).toBe(rows.length > 0);
        if (!sums) continue;
        const expected = moments(rows);
        expect(sums.tokens).toBe(rows.length);
        expect(worst(sums.sum, expected.sum)).toBeLessThan(1e-3);
        expect(worst(sums.squares, expected.squares)).toBeLessThan(1e-2);
        expect(worst(sums.gram!, expected.gram)).toBeLessThan(1e-2);
      }
      x = after;
    }
    await forward.close();
  });
});
