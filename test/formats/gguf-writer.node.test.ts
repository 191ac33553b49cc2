import { describe, expect, it } from "vitest";
import { readGguf } from "../../formats/gguf/header.ts";
import { ggufChunks, type MetadataEntry } from "../../formats/gguf/writer.ts";

async function roundTrip(metadata: readonly MetadataEntry[]): Promise<Record<string, unknown>> {
  const parts: Uint8Array[] = [];
  for await (const chunk of ggufChunks(metadata, [])) parts.push(chunk);
  const file = Buffer.concat(parts);
  const read = async (start: number, length: number) => new Uint8Array(file.subarray(start, start + length));
  return (await readGguf({ name: "out.gguf", size: file.length, read }, ["f32"])).metadata as Record<string, unknown>;
}

describe("ggufChunks", () => {
  it("writes values of every type as a reader of the format finds them", async () => {
    const metadata = await roundTrip([
      ["a.u32", "u32", 4_000_000_000],
      ["a.i32", "i32[]", [-1, 0, 2 ** 31 - 1]],
      ["a.f32", "f32[]", [0.5, -2]],
      ["a.bool", "bool[]", [true, false]],
      ["a.string", "string", "Größe ▁"],
      ["a.none", "string[]", []],
    ]);
    expect(metadata).toMatchObject({
      "a.u32": 4_000_000_000,
      "a.i32": [-1, 0, 2 ** 31 - 1],
      "a.f32": [0.5, -2],
      "a.bool": [true, false],
      "a.string": "Größe ▁",
      "a.none": [],
    });
  });

  it("keeps every word of a whole vocabulary, again and again", async () => {
    const words = Array.from({ length: 100_000 }, (_, i) => `Ġ${i.toString(36).repeat(1 + (i % 3))}`);
    for (let i = 0; i < 3; i++) {
      const metadata = await roundTrip([["tokenizer.ggml.tokens", "string[]", words]]);
      expect(metadata["tokenizer.ggml.tokens"]).toEqual(words);
    }
  });
});
