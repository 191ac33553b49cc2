import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { packQ4, packQ8, quantizeQ8 } from "../../build/kernel-layout.ts";
import { halfAtLeast } from "../../formats/half.ts";
import { dequantize, fromHalf, type OpenFile, readParts } from "../../src/engine/weights.ts";
import type { BuiltFile, Tensor } from "../../src/variants/base.ts";

const content = Uint8Array.from({ length: 5000 }, (_, i) => (i * 31) % 251);
const partOf = (bytes: Uint8Array): BuiltFile => {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { file: `${sha256}.bin`, sha256, bytes: bytes.length };
};
const halves = [content.subarray(0, 3000), content.subarray(3000)];
const parts = halves.map(partOf);

/** Gives these bytes for each part, in pieces of 700. */
const openWith =
  (bytesOf: (index: number) => Uint8Array | undefined): OpenFile =>
  async ({ file }) => {
    const bytes = bytesOf(parts.findIndex((part) => part.file === file));
    if (!bytes) return undefined;
    return new ReadableStream({
      start(controller) {
        for (let at = 0; at < bytes.length; at += 700) controller.enqueue(bytes.slice(at, at + 700));
        controller.close();
      },
    });
  };

describe("readParts", () => {
  it("puts all parts in place and tells how far it is", async () => {
    const destination = new Uint8Array(content.length);
    const progress: number[] = [];
    await readParts(parts, destination, {
      open: openWith((i) => halves[i]),
      onProgress: (bytes) => progress.push(bytes),
    });
    expect(destination).toEqual(content);
    expect(progress.at(-1)).toBe(content.length);
    expect(progress).toEqual(progress.toSorted((a, b) => a - b));
  });

  it("hands chunks with their offsets to a function, for memory that may move", async () => {
    const destination = new Uint8Array(content.length);
    await readParts(parts, (chunk, offset) => destination.set(chunk, offset), { open: openWith((i) => halves[i]) });
    expect(destination).toEqual(content);
  });

  it.each<[string, (bytes: Uint8Array) => Uint8Array | undefined, string]>([
    ["missing", () => undefined, "is missing"],
    ["short", (bytes) => bytes.subarray(0, 100), "has 100 bytes instead of 2000"],
    ["long", (bytes) => Uint8Array.from([...bytes, 1]), "has more than 2000 bytes"],
    ["altered", (bytes) => bytes.with(7, 255), "does not have the sha256"],
  ])("names a part that is %s", async (_, damage, problem) => {
    const open = openWith((i) => (i === 1 ? damage(halves[1] as Uint8Array) : halves[0]));
    await expect(readParts(parts, new Uint8Array(content.length), { open })).rejects.toMatchObject({
      code: "damaged_weights",
      message: expect.stringMatching(new RegExp(`${parts[1]?.file}.*${problem}`)),
    });
  });
});

describe("dequantize", () => {
  const tensor = (type: Tensor["type"], rows: number, cols: number, bytes: Uint8Array): Tensor => ({
    name: "t",
    digest: "",
    type,
    rows,
    cols,
    offset: 64,
    bytes: bytes.length,
  });
  const imageOf = (bytes: Uint8Array): Uint8Array => Uint8Array.from([...new Uint8Array(64), ...bytes]);
  const bytes = (count: number, seed: number) =>
    Uint8Array.from({ length: count }, (_, i) => (i * i * 13 + seed * i) % 256);
  /** Half-precision bits of ordinary size. */
  const half = (i: number): number => (((i * 37) % 0x7000) + 0x0400) | (i % 2 ? 0x8000 : 0);

  it("gives back Q4_1's values from the interleaved layout", () => {
    const [rows, cols] = [11, 64];
    const data = bytes(rows * 2 * 20, 3);
    const view = new DataView(data.buffer);
    for (let block = 0; block < rows * 2; block++) {
      view.setUint16(block * 20, half(block) & 0x7fff, true);
      view.setUint16(block * 20 + 2, half(block + 5), true);
    }
    const packed = packQ4(data, rows, cols);
    const values = dequantize(tensor("q4_1", rows, cols, packed), imageOf(packed));
    for (let i = 0; i < rows * cols; i++) {
      const at = Math.floor(i / 32) * 20;
      const pair = data[at + 4 + (i % 16)] as number;
      const nibble = i % 32 < 16 ? pair & 15 : pair >> 4;
      const expected = fromHalf(view.getUint16(at, true)) * nibble + fromHalf(view.getUint16(at + 2, true));
      expect(values[i]).toBe(Math.fround(expected));
    }
  });

  it("gives back Q8_0's values from the interleaved layout", () => {
    const [rows, cols] = [19, 32];
    const data = bytes(rows * 34, 7);
    const view = new DataView(data.buffer);
    for (let block = 0; block < rows; block++) view.setUint16(block * 34, half(block), true);
    const packed = packQ8(data, rows, cols);
    const values = dequantize(tensor("q8_0", rows, cols, packed), imageOf(packed));
    for (let i = 0; i < rows * cols; i++) {
      const at = Math.floor(i / 32) * 34;
      expect(values[i]).toBe(Math.fround(fromHalf(view.getUint16(at, true)) * view.getInt8(at + 2 + (i % 32))));
    }
  });

  it("reads fp32 as it is", () => {
    const values = Float32Array.of(1.5, -2, 0, 3e-9);
    const data = new Uint8Array(values.buffer);
    expect(dequantize(tensor("f32", 1, 4, data), imageOf(data))).toEqual(values);
  });
});

describe("quantizeQ8", () => {
  it.each([1e-12, 1, 1e9])("keeps values of size %f within half a step of their block's 127", (size) => {
    const [rows, cols, width] = [3, 40, 64];
    const values = Float32Array.from({ length: rows * cols }, (_, i) => Math.sin(i * i) * size);
    const { data, factor } = quantizeQ8(values, rows, cols, width);
    const view = new DataView(data.buffer);
    for (let row = 0; row < rows; row++) {
      for (let col = 0; col < width; col++) {
        const at = (row * 2 + Math.floor(col / 32)) * 34;
        const scale = fromHalf(view.getUint16(at, true)) * factor;
        const value = col < cols ? (values[row * cols + col] as number) : 0;
        expect(Math.abs(scale * view.getInt8(at + 2 + (col % 32)) - value)).toBeLessThanOrEqual(0.5001 * scale);
        expect(scale).toBeLessThan((size / 127) * 1.002);
      }
    }
  });

  it("halfAtLeast gives the next half above", () => {
    for (const value of [0, 2 ** -24, 1e-5, 0.1, 1, 1.0001, 65504]) {
      const bits = halfAtLeast(value);
      expect(fromHalf(bits)).toBeGreaterThanOrEqual(value);
      if (bits > 0) expect(fromHalf(bits - 1)).toBeLessThan(value);
    }
  });
});
