import { expect, it } from "vitest";
import { toTensor } from "../../../compress/quantize/containers.ts";
import { bitsPerWeight, dequantize, type GridOptions } from "../../../compress/quantize/grid.ts";
import { roundToNearest } from "../../../compress/quantize/rtn.ts";
import { fromHalf, toHalf } from "../../../formats/half.ts";
import { randomMatrix } from "../random.ts";

/** Blocks read by ggml's definition. */
function readBlocks(data: Uint8Array, type: "q4_1" | "q8_0"): number[] {
  const view = new DataView(data.buffer);
  const bytes = type === "q4_1" ? 20 : 34;
  return Array.from({ length: data.length / bytes }, (_, block) => {
    const at = block * bytes;
    const scale = fromHalf(view.getUint16(at, true));
    return Array.from({ length: 32 }, (_, i) => {
      if (type === "q8_0") return Math.fround(scale * view.getInt8(at + 2 + i));
      const pair = view.getUint8(at + 4 + (i & 15));
      return Math.fround(scale * (i < 16 ? pair & 15 : pair >> 4) + fromHalf(view.getUint16(at + 2, true)));
    });
  }).flat();
}

const matrix = randomMatrix(16, 128, 3);
const all: GridOptions[] = [2, 3, 4].flatMap((bits) =>
  (["symmetric", "asymmetric", "integer-zero"] as const).flatMap((kind) =>
    ([32, 64] as const).map((block) => ({ bits: bits as 2 | 3 | 4, kind, block })),
  ),
);

it.each(all)("keeps every value of $bits bits, $kind, block $block in Q4_1", (options) => {
  const quantized = roundToNearest(matrix, options);
  const tensor = toTensor("t", quantized, "q4_1");
  expect(readBlocks(tensor.data, "q4_1")).toEqual([...dequantize(quantized)]);
  expect(new Set(quantized.codes).size).toBe(2 ** options.bits);
});

it.each([
  { bits: 8, kind: "symmetric", block: 32 },
  { bits: 4, kind: "symmetric", block: 64 },
  { bits: 4, kind: "integer-zero", block: 32 },
] as const)("keeps every value of $bits bits, $kind, block $block in Q8_0", (options) => {
  const quantized = roundToNearest(matrix, options);
  expect(readBlocks(toTensor("t", quantized, "q8_0").data, "q8_0")).toEqual([...dequantize(quantized)]);
});

it("keeps the values of a Q4_1 tensor as they are when it is rounded to the same grid", () => {
  const once = dequantize(roundToNearest(matrix, { bits: 4, kind: "asymmetric", block: 32 }));
  const twice = dequantize(roundToNearest({ ...matrix, values: once }, { bits: 4, kind: "asymmetric", block: 32 }));
  const most = Math.max(...once.map((value, i) => Math.abs(value - (twice[i] as number))));
  expect(most).toBeLessThan(2e-3);
});

it.each([
  [2, "symmetric"],
  [3, "integer-zero"],
  [4, "integer-zero"],
] as const)("has an exact zero at %i bits, %s", (bits, kind) => {
  const masked = matrix.values.map((value, i) => (i % 3 === 0 ? 0 : value));
  const values = dequantize(roundToNearest({ ...matrix, values: masked }, { bits, kind, block: 32 }));
  expect(values.filter((_, i) => i % 3 === 0).every((value) => value === 0)).toBe(true);
});

it("takes blocks that are constant, all 0, or hold very small numbers", () => {
  const values = new Float32Array(128).fill(0.25, 32, 64).fill(3e-8, 64, 80);
  for (const options of all) {
    const rounded = dequantize(roundToNearest({ rows: 1, cols: 128, values }, options));
    expect(rounded.every(Number.isFinite)).toBe(true);
    expect(rounded.subarray(0, 32).every((value) => value === 0)).toBe(true);
  }
});

it("refuses what a container has no room for", () => {
  const asymmetric = roundToNearest(matrix, { bits: 4, kind: "asymmetric", block: 32 });
  expect(() => toTensor("t", asymmetric, "q8_0")).toThrow("t: a minimum that is no multiple");
  const eight = roundToNearest(matrix, { bits: 8, kind: "symmetric", block: 32 });
  expect(() => toTensor("t", eight, "q4_1")).toThrow("8 bits do not fit");
  expect(() =>
    roundToNearest({ rows: 1, cols: 32, values: new Float32Array(32).fill(1e9) }, all[0] as GridOptions),
  ).toThrow("beyond half precision");
});

it("counts what a block keeps beside its codes", () => {
  expect(bitsPerWeight({ bits: 4, kind: "asymmetric", block: 32 })).toBe(5);
  expect(bitsPerWeight({ bits: 3, kind: "symmetric", block: 64 })).toBe(3.25);
  expect(bitsPerWeight({ bits: 4, kind: "integer-zero", block: 32 })).toBe(4.625);
});

it("rounds to the nearest half as IEEE 754 says", () => {
  for (let bits = 0; bits < 0x7c00; bits++) {
    expect(toHalf(fromHalf(bits))).toBe(bits);
    if (bits === 0x7bff) continue;
    const middle = (fromHalf(bits) + fromHalf(bits + 1)) / 2;
    expect(toHalf(middle)).toBe(bits + (bits % 2));
    expect(toHalf(-middle * 0.99999)).toBe(0x8000 | bits);
  }
});
