// Each kernel against what it is meant to compute, written plainly, in sizes that leave remainders.
import { describe, expect, it } from "vitest";
import { packQ4, packQ8 } from "../../../build/kernel-layout.ts";
import plain from "../../../dist/kernels/plain.wasm";
import relaxed from "../../../dist/kernels/relaxed.wasm";
import { mulberry32 } from "../../../evaluation/random.ts";
import { toHalf } from "../../../formats/half.ts";
import { instantiate, type Kernels } from "../../../src/engine/wasm/kernels.ts";
import { PAGE_TOKENS, panel8Bytes, panel16Bytes } from "../../../src/engine/wasm/shapes.ts";
import { fromHalf } from "../../../src/engine/weights.ts";

interface Bench {
  readonly kernels: Kernels;
  readonly f32: Float32Array;
  readonly u32: Uint32Array;
  /** Puts bytes into memory and gives their address. */
  put(bytes: ArrayBufferView): number;
  room(bytes: number): number;
}

function bench(module: WebAssembly.Module): Bench {
  const memory = new WebAssembly.Memory({ initial: 64 });
  const { kernels } = instantiate({ plain: module }, memory);
  let end = 1024;
  const room = (bytes: number): number => {
    const at = end;
    end = Math.ceil((end + bytes) / 64) * 64;
    return at;
  };
  return {
    kernels,
    f32: new Float32Array(memory.buffer),
    u32: new Uint32Array(memory.buffer),
    room,
    put: ({ buffer, byteOffset, byteLength }) => {
      const at = room(byteLength);
      new Uint8Array(memory.buffer).set(new Uint8Array(buffer, byteOffset, byteLength), at);
      return at;
    },
  };
}

const random = mulberry32(11);
const uniform = (count: number, scale = 1): Float32Array =>
  Float32Array.from({ length: count }, () => (2 * random() - 1) * scale);

/** Random GGUF blocks and the values that they stand for. */
function randomQ4(rows: number, cols: number) {
  const data = new Uint8Array((rows * cols * 20) / 32).map(() => Math.floor(random() * 256));
  const view = new DataView(data.buffer);
  const values = new Float64Array(rows * cols);
  for (let block = 0; block < values.length / 32; block++) {
    const at = block * 20;
    view.setUint16(at, toHalf(0.01 + random() / 10), true);
    view.setUint16(at + 2, toHalf((random() - 0.5) / 2 + 0.01), true);
    for (let i = 0; i < 32; i++) {
      const pair = data[at + 4 + (i % 16)] as number;
      const nibble = i < 16 ? pair & 15 : pair >> 4;
      values[block * 32 + i] = fromHalf(view.getUint16(at, true)) * nibble + fromHalf(view.getUint16(at + 2, true));
    }
  }
  return { packed: packQ4(data, rows, cols), values };
}

type Weights = ReturnType<typeof randomQ8>;

function randomQ8(rows: number, cols: number) {
  const data = new Uint8Array((rows * cols * 34) / 32).map(() => Math.floor(random() * 256));
  const view = new DataView(data.buffer);
  const values = new Float64Array(rows * cols);
  for (let block = 0; block < values.length / 32; block++) {
    const at = block * 34;
    view.setUint16(at, toHalf(0.001 + random() / 100), true);
    for (let i = 0; i < 32; i++) values[block * 32 + i] = fromHalf(view.getUint16(at, true)) * view.getInt8(at + 2 + i);
  }
  return { packed: packQ8(data, rows, cols), values };
}

/** Values rounded to integers of -range … range by blocks of 32, as the panels hold them. */
function rounded(x: Float32Array, range: number): Float64Array {
  const out = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += 32) {
    const part = x.subarray(start, start + 32);
    const scale = Math.max(...part.map(Math.abs)) / range;
    for (const [i, value] of part.entries()) out[start + i] = scale === 0 ? 0 : Math.round(value / scale) * scale;
  }
  return out;
}

function product(weights: Float64Array, rows: number, cols: number, x: Float64Array): number[] {
  return Array.from({ length: rows }, (_, row) => {
    let sum = 0;
    for (let col = 0; col < cols; col++) sum += (weights[row * cols + col] as number) * (x[col] as number);
    return sum;
  });
}

const largest = (values: ArrayLike<number>): number => Math.max(...Array.from(values, Math.abs));
/** Largest difference, as a share of the largest value. */
const error = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.max(...Array.from(a, (value, i) => Math.abs(value - (b[i] as number)))) / largest(b);

describe.each([
  ["relaxed", relaxed],
  ["plain", plain],
])("the %s kernels", (_, module) => {
  it.each([
    [1, 48, 96],
    [2, 8, 32],
    [3, 40, 64],
    [7, 216, 64],
    [8, 16, 64],
    [13, 56, 160],
    [64, 24, 32],
  ])("multiplyQ4: %i tokens, %i rows, %i columns", (tokens, rows, cols) => {
    const { kernels, f32, put, room } = bench(module);
    const { packed, values } = randomQ4(rows, cols);
    const x = uniform(tokens * cols, 3);
    const panels = room(tokens * panel8Bytes(cols));
    kernels.quantizeRows8(put(x), cols * 4, tokens, cols, panels);
    const stride = (rows + 8) * 4;
    const out = room(tokens * stride);
    kernels.multiplyQ4(put(packed), rows / 8, cols / 32, panels, tokens, out, stride, room(cols * 10));
    for (let token = 0; token < tokens; token++) {
      const start = (out + token * stride) / 4;
      const expected = product(values, rows, cols, rounded(x.subarray(token * cols, (token + 1) * cols), 127));
      expect(error(f32.subarray(start, start + rows), expected)).toBeLessThan(1e-5);
      expect([...f32.subarray(start + rows, start + rows + 8)]).toEqual(new Array(8).fill(0));
    }
  });

  it.each([
    [1, 24, 64],
    [1, 200, 32],
    [5, 40, 96],
    [9, 16, 64],
    [16, 8, 32],
  ])("multiplyQ8: %i tokens, %i rows, %i columns, stored and added", (tokens, rows, cols) => {
    const { kernels, f32, put, room } = bench(module);
    const { packed, values } = randomQ8(rows, cols);
    const x = uniform(tokens * cols, 0.01);
    const panels = room(tokens * panel16Bytes(cols));
    kernels.quantizeRows16(put(x), cols * 4, tokens, cols / 32, panels, 0, tokens);
    const out = room(tokens * rows * 4);
    const weights = put(packed);
    kernels.multiplyQ8(weights, rows / 8, cols / 32, panels, tokens, out, rows * 4, 1, 0);
    kernels.multiplyQ8(weights, rows / 8, cols / 32, panels, tokens, out, rows * 4, 0.5, 1);
    for (let token = 0; token < tokens; token++) {
      const start = out / 4 + token * rows;
      const expected = product(values, rows, cols, rounded(x.subarray(token * cols, (token + 1) * cols), 32767));
      const half = expected.map((value) => 1.5 * value);
      // A value on the edge between two integers may go one of 32,767 steps the other way.
      expect(error(f32.subarray(start, start + rows), half)).toBeLessThan(3e-5);
    }
  });

  it("widen: a 16-bit panel with the values of an 8-bit one", () => {
    const { kernels, f32, put, room } = bench(module);
    const [rows, cols, tokens] = [16, 64, 9];
    const { packed, values } = randomQ8(rows, cols);
    const x = uniform(tokens * cols);
    const narrow = room(tokens * panel8Bytes(cols));
    const wide = room(3 * panel16Bytes(cols));
    kernels.quantizeRows8(put(x), cols * 4, tokens, cols, narrow);
    for (const [to, token] of [0, 5, 8].entries()) kernels.widen(narrow, token, tokens, cols / 32, wide, to, 3);
    const out = room(3 * rows * 4);
    kernels.multiplyQ8(put(packed), rows / 8, cols / 32, wide, 3, out, rows * 4, 1, 0);
    for (const [i, token] of [0, 5, 8].entries()) {
      const expected = product(values, rows, cols, rounded(x.subarray(token * cols, (token + 1) * cols), 127));
      const start = out / 4 + i * rows;
      expect(error(f32.subarray(start, start + rows), expected)).toBeLessThan(1e-5);
    }
  });

  it("embed: a row of the table, to the bit", () => {
    const { kernels, f32, put, room } = bench(module);
    const [rows, cols] = [24, 96];
    const { packed, values } = randomQ8(rows, cols);
    const table = put(packed);
    const to = room(cols * 4);
    for (const token of [0, 7, 8, 23]) {
      kernels.embed(table, cols / 32, token, to);
      expect([...f32.subarray(to / 4, to / 4 + cols)]).toEqual([
        ...Float32Array.from(values.subarray(token * cols, (token + 1) * cols)),
      ]);
    }
  });

  it("normalizeRows: RMSNorm of the rows that the table names", () => {
    const { kernels, f32, put, room } = bench(module);
    const [cols, rows] = [64, 8];
    const { packed, values } = randomQ8(rows, cols);
    const x = uniform(2 * cols, 5);
    const weight = uniform(cols);
    const at = put(x);
    const table = put(Uint32Array.of(at + cols * 4, at));
    const panels = room(2 * panel16Bytes(cols));
    kernels.normalizeRows16(table, 2, put(weight), cols, 1e-5, room(cols * 4), panels);
    const out = room(2 * rows * 4);
    kernels.multiplyQ8(put(packed), 1, cols / 32, panels, 2, out, rows * 4, 1, 0);
    for (const [i, row] of [1, 0].entries()) {
      const own = Float64Array.from(x.subarray(row * cols, (row + 1) * cols));
      const factor = 1 / Math.sqrt(own.reduce((sum, value) => sum + value * value, 0) / cols + 1e-5);
      const expected = product(
        values,
        rows,
        cols,
        own.map((value, col) => value * factor * (weight[col] as number)),
      );
      expect(error(f32.subarray(out / 4 + i * rows, out / 4 + (i + 1) * rows), expected)).toBeLessThan(1e-4);
    }
  });

  it.each([
    [4, 4],
    [8, 4],
    [4, 8],
    [8, 8],
  ])("feedForward: SwiGLU of gate and up, of %i and %i bits, in spans of any size", (gateBits, upBits) => {
    const [tokens, cols, width, rows] = [9, 64, 160, 8];
    const [gate, up] = [gateBits, upBits].map((n) => (n === 4 ? randomQ4 : randomQ8)(width, cols)) as [
      Weights,
      Weights,
    ];
    const down = randomQ4(rows, width);
    const x = uniform(tokens * cols);
    const outputs = [1, 2, 5].map((span) => {
      const { kernels, f32, put, room } = bench(module);
      const panels = room(tokens * panel8Bytes(cols));
      const inner = room(tokens * panel8Bytes(width));
      const unpacked = room(width * 10);
      kernels.quantizeRows8(put(x), cols * 4, tokens, cols, panels);
      const weights = [put(gate.packed), put(up.packed)] as const;
      const temporary = room(tokens * span * 256);
      const wide = room(tokens * panel16Bytes(cols));
      for (let i = 0; i < tokens; i++) kernels.widen(panels, i, tokens, cols / 32, wide, i, tokens);
      const eight = [gateBits === 8 ? wide : 0, upBits === 8 ? wide : 0] as const;
      for (const [first, count] of [
        [0, 3],
        [3, 2],
      ] as const) {
        kernels.feedForward(
          ...[...weights, first, count, cols / 32, panels, tokens, 0, 0, 0, 0, span, temporary, unpacked, 5, inner],
          ...eight,
        );
      }
      const out = room(tokens * rows * 4);
      kernels.multiplyQ4(put(down.packed), 1, width / 32, inner, tokens, out, rows * 4, unpacked);
      return f32.slice(out / 4, out / 4 + tokens * rows);
    });
    expect(outputs[1]).toEqual(outputs[0]);
    expect(outputs[2]).toEqual(outputs[0]);
    for (let token = 0; token < tokens; token++) {
      const own = rounded(x.subarray(token * cols, (token + 1) * cols), 127);
      const g = product(gate.values, width, cols, own);
      const u = product(up.values, width, cols, own);
      const h = Float32Array.from(g, (value, i) => (value / (1 + Math.exp(-value))) * (u[i] as number));
      const expected = product(down.values, rows, width, rounded(h, 127));
      expect(error((outputs[0] as Float32Array).subarray(token * rows, (token + 1) * rows), expected)).toBeLessThan(
        5e-3,
      );
    }
  });

  it("angles: cosines and sines up to the longest contexts", () => {
    const { kernels, f32, put, room } = bench(module);
    const frequencies = Float32Array.from({ length: 16 }, (_, i) => 100_000 ** (-i / 16));
    const at = put(frequencies);
    const to = room(128);
    for (const position of [0, 1, 77, 8191, 131_071]) {
      kernels.angles(position, at, 16, to);
      for (const [i, frequency] of frequencies.entries()) {
        const angle = Math.fround(frequency * position);
        expect(Math.abs((f32[to / 4 + i] as number) - Math.cos(angle))).toBeLessThan(1e-7);
        expect(Math.abs((f32[to / 4 + 16 + i] as number) - Math.sin(angle))).toBeLessThan(1e-7);
      }
    }
  });

  it.each([1, 2, 3, 4, 7])("attend: %i query heads to a KV head", (group) => {
    const { kernels, f32, put, room } = bench(module);
    const [dim, kvHeads, tokens] = [16, 2, 75];
    const heads = kvHeads * group;
    const pagesPerHead = 3;
    const pageBytes = PAGE_TOKENS * (2 * dim + 4);
    const pages = put(Uint32Array.from({ length: kvHeads * pagesPerHead }, () => room(pageBytes)));
    const tables = put(Float32Array.from({ length: tokens * dim }, (_, i) => (i % dim < dim / 2 ? 1 : 0)));
    const [q, k, v] = [
      uniform(tokens * heads * dim, 2),
      uniform(tokens * kvHeads * dim, 2),
      uniform(tokens * kvHeads * dim),
    ];
    kernels.storeKv(tokens, 0, put(k), put(v), kvHeads * dim * 4, tables, kvHeads, dim, pages, pagesPerHead);
    const out = put(q);
    const stride = heads * dim * 4;
    const scratch = room(group * (2 * dim + 4 * (tokens + PAGE_TOKENS) + 2 * PAGE_TOKENS + 8));
    kernels.attend(tokens, 0, out, stride, tables, kvHeads, group, dim, pages, pagesPerHead, out, stride, scratch);
    for (const token of [0, 1, 31, 32, 33, 74]) {
      for (let head = 0; head < heads; head++) {
        const kv = Math.floor(head / group);
        const row = (x: Float32Array, t: number, h: number, count: number) =>
          x.subarray((t * count + h) * dim, (t * count + h + 1) * dim);
        const query = row(q, token, head, heads);
        const powers = Array.from({ length: token + 1 }, (_, past) =>
          Math.exp(
            row(k, past, kv, kvHeads).reduce((sum, value, i) => sum + value * (query[i] as number), 0) / Math.sqrt(dim),
          ),
        );
        const total = powers.reduce((a, b) => a + b);
        const expected = Array.from({ length: dim }, (_, i) =>
          powers.reduce((sum, power, past) => sum + (power / total) * (row(v, past, kv, kvHeads)[i] as number), 0),
        );
        const start = out / 4 + (token * heads + head) * dim;
        // What 8 bits a value cost: half a step of 1/127 for V, and as much in a score of size 2 * 2 * 16 / 4 for K.
        expect(Math.max(...expected.map((value, i) => Math.abs(value - (f32[start + i] as number))))).toBeLessThan(
          0.03,
        );
      }
    }
  });

  it("finite: sees a single NaN or infinity anywhere", () => {
    const { kernels, f32, put } = bench(module);
    const at = put(uniform(37));
    expect(kernels.finite(at, 37)).toBe(1);
    for (const [index, value] of [
      [0, Number.NaN],
      [20, Number.POSITIVE_INFINITY],
      [36, Number.NEGATIVE_INFINITY],
    ] as const) {
      const before = f32[at / 4 + index] as number;
      f32[at / 4 + index] = value;
      expect(kernels.finite(at, 37)).toBe(0);
      f32[at / 4 + index] = before;
    }
  });

  it("sumExp: the softmax's denominator, the same bits in any slices", () => {
    const { kernels, f32, put, room } = bench(module);
    const values = uniform(1000).map((value, i) => value * 30 + i / 50);
    const from = put(values);
    const sums = [[125], [1, 124], [40, 5, 80]].map((slices) => {
      const state = room(16);
      f32.set([Number.NEGATIVE_INFINITY, 0, 0, 0], state / 4);
      let done = 0;
      for (const groups of slices) {
        kernels.sumExp(from + done * 32, groups, state);
        done += groups;
      }
      return [f32[state / 4], new Float64Array(f32.buffer, state + 8, 1)[0]];
    });
    const stored = Array.from(f32.subarray(from / 4, from / 4 + 1000));
    const largest = Math.max(...stored);
    const exact = stored.reduce((sum, value) => sum + Math.exp(value - largest), 0);
    expect(sums[0]![0]).toBe(largest);
    expect(Math.abs(sums[0]![1]! / exact - 1)).toBeLessThan(1e-6);
    expect(sums[1]).toEqual(sums[0]);
    expect(sums[2]).toEqual(sums[0]);
  });

  it("topK: as a sort, the lowest index first among equals", () => {
    const { kernels, f32, u32, put, room } = bench(module);
    const values = uniform(1003).map((value) => Math.round(value * 20));
    const to = room(64 * 8);
    const from = put(values);
    expect(kernels.topK(from, 40, 64, to, 0, 0)).toBe(40);
    expect(kernels.topK(from + 40 * 4, 100, 64, to, 40, 40)).toBe(64);
    expect(kernels.topK(from + 140 * 4, values.length - 140, 64, to, 140, 64)).toBe(64);
    const expected = [...values.keys()]
      .sort((a, b) => (values[b] as number) - (values[a] as number) || a - b)
      .slice(0, 64);
    expect(expected.map((_, i) => u32[to / 4 + 2 * i])).toEqual(expected);
    expect(f32[to / 4 + 1]).toBe(values[expected[0] as number]);
  });
});
