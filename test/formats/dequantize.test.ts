import { expect, it } from "vitest";
import { z } from "zod";
import { dequantizeBlocks } from "../../formats/gguf/dequantize.ts";
import type { BlockType } from "../../formats/gguf/header.ts";
import file from "../fixtures/gguf-blocks/vectors.json";

const vectors = z.record(z.string(), z.strictObject({ data: z.base64(), values: z.base64() })).parse(file);
const bytesOf = (text: string): Uint8Array => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

it.each(Object.keys(vectors))("reads %s as ggml does, to the bit", (type) => {
  const { data = "", values = "" } = vectors[type] ?? {};
  const expected = new Float32Array(bytesOf(values).buffer);
  expect(expected.length).toBe(512);
  expect([...dequantizeBlocks(type as BlockType, bytesOf(data))]).toEqual([...expected]);
});

it("reads fp32 where it lies, aligned or not", () => {
  const bytes = new Uint8Array(9);
  new DataView(bytes.buffer).setFloat32(1, 1.5, true);
  new DataView(bytes.buffer).setFloat32(5, -2, true);
  expect([...dequantizeBlocks("f32", bytes.subarray(1))]).toEqual([1.5, -2]);
});
