// LLaMA decoders of many shapes: the engine takes its shapes from the checkpoint, and is held against plain code in double precision.
import { describe, expect, it } from "vitest";
import plain from "../../../dist/kernels/plain.wasm";
import relaxed from "../../../dist/kernels/relaxed.wasm";
import { createWasmEngine } from "../../../src/engine/wasm/index.ts";
import type { ModelConfig } from "../../../src/variants/base.ts";
import { asKernels, reference } from "./reference.ts";
import { config, makeTiny, tinyPlan } from "./tiny.ts";

/** Past the border of a page, and no multiple of any tile. */
const TOKENS = 39;
const LLAMA3 = { type: "llama3", factor: 32, lowFreqFactor: 1, highFreqFactor: 4, originalContextLength: 16 } as const;
const SHAPES: Partial<ModelConfig>[] = [
  { hidden: 32, heads: 1, kvHeads: 1, headDim: 32, ffn: 32, vocab: 9 },
  { hidden: 64, heads: 2, kvHeads: 2, headDim: 64, ffn: 96, vocab: 77, ropeTheta: 100_000 },
  { hidden: 96, heads: 4, kvHeads: 2, headDim: 32, ffn: 352, vocab: 301 },
  { hidden: 160, heads: 4, kvHeads: 1, headDim: 64, ffn: 64, vocab: 130, ropeTheta: 500_000 },
  { hidden: 128, heads: 8, kvHeads: 2, headDim: 64, ffn: 512, vocab: 99, ropeTheta: 500_000, ropeScaling: LLAMA3 },
  { hidden: 192, heads: 5, kvHeads: 1, headDim: 32, ffn: 416, vocab: 515 },
  { hidden: 64, heads: 10, kvHeads: 2, headDim: 64, ffn: 224, vocab: 43, layers: 2 },
  { hidden: 128, heads: 9, kvHeads: 3, headDim: 64, ffn: 288, vocab: 1001, layers: 1 },
  { hidden: 96, heads: 4, kvHeads: 4, headDim: 80, ffn: 160, vocab: 58 },
  { hidden: 256, heads: 2, kvHeads: 1, headDim: 128, ffn: 32, vocab: 21 },
];

const rms = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.sqrt(Array.from(a, (value, i) => (value - (b[i] as number)) ** 2).reduce((x, y) => x + y) / a.length);
const mean = (values: number[]): number => values.reduce((a, b) => a + b) / values.length;

const title = ({ hidden, heads, kvHeads, headDim, ffn, vocab, ropeScaling }: Partial<ModelConfig>): string =>
  `hidden ${hidden}, ${heads} heads of ${headDim} over ${kvHeads}, FFN ${ffn}, vocabulary ${vocab}${ropeScaling ? ", RoPE as Llama 3's" : ""}`;

describe.each(SHAPES.map((shape) => [title(shape), shape] as const))("a model of %s", (_, change) => {
  const shape = { ...config, ...change };
  const { base, image, open } = makeTiny({ shape, narrow: false });
  const plan = tinyPlan(
    base,
    Array.from({ length: shape.layers }, (_, layer) => ({ layer })),
  );
  const tokens = Array.from({ length: TOKENS }, (_, i) => (i * 31 + 3) % shape.vocab);

  it("is computed as exactly as 8-bit activations and KV allow, by both builds of the kernels", async () => {
    const exact = reference(plan, image, tokens);
    const rounded = reference(plan, image, tokens, asKernels);
    const noise = mean(rounded.map((row, i) => rms(row, exact[i]!)));
    const size = mean(exact.map((row) => rms(row, new Float32Array(row.length))));
    expect(noise).toBeLessThan(0.06 * size);

    const [first, second] = await Promise.all(
      [{ relaxed, plain }, { plain }].map(async (modules) => {
        const engine = await createWasmEngine({ base, open, modules });
        const sequence = await engine.open(plan, TOKENS);
        const [logits] = await engine.step([{ sequence, tokens, logits: "all" }], () => undefined);
        return logits!;
      }),
    );
    expect(second).toEqual(first);
    const rows = tokens.map((_, i) => first!.subarray(i * shape.vocab, (i + 1) * shape.vocab));
    // What the kernels round otherwise than the plain code does lies on the edge between two integers: no more than the rounding itself.
    expect(mean(rows.map((row, i) => rms(row, exact[i]!)))).toBeLessThan(1.2 * noise);
    expect(mean(rows.map((row, i) => rms(row, rounded[i]!)))).toBeLessThan(0.8 * noise);
  });
});
