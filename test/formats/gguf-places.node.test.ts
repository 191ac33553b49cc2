// Where a GGUF file or a safetensors file says that its tensors lie: read as it says, or refused by name.
import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type GgufContents, ggufContents } from "../../compress/export/gguf.ts";
import { openCheckpoint } from "../../compress/open.ts";
import { putOutput } from "../../compress/output.ts";
import { stackOf } from "../../compress/stack.ts";
import { ggufChunks } from "../../formats/gguf/writer.ts";
import { readPlaces, readSafetensors, safetensorsHeader } from "../../formats/safetensors.ts";
import { recipeOf } from "../compress/recipe.ts";
import { tinyCheckpoint } from "../compress/tiny.ts";

const base = tinyCheckpoint({ untied: true });
const contents = ggufContents(
  await stackOf(recipeOf(base.shape.layers.map((_, layer) => ({ layer }))), base),
  "stored",
);
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "franken-places-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function write(name: string, { metadata, tensors }: GgufContents): Promise<string> {
  const file = join(folder, name);
  await putOutput(file, { kind: "file", chunks: ggufChunks(metadata, tensors) });
  return file;
}
const digestOf = async (file: string): Promise<string> => {
  const checkpoint = await openCheckpoint(file);
  await checkpoint.close();
  return checkpoint.digest;
};
const whole = () => write("whole.gguf", contents).then(digestOf);

describe("a GGUF file", () => {
  it.each([8, 24, 40, 64, 96])("is read as it says where its alignment is %i", async (alignment) => {
    const metadata = [["general.alignment", "u32", alignment] as const, ...contents.metadata];
    expect(await digestOf(await write("aligned.gguf", { ...contents, metadata }))).toBe(await whole());
  });

  it("with a tensor twice is refused, whether or not both are the same", async () => {
    const tensors = [...contents.tensors, contents.tensors[3]!];
    await expect(openCheckpoint(await write("twice.gguf", { ...contents, tensors }))).rejects.toThrow(
      `twice.gguf has tensor ${contents.tensors[3]!.name} twice`,
    );
  });

  it("with a key of its metadata twice is refused", async () => {
    const metadata = [...contents.metadata, ["llama.rope.freq_base", "f32", 7] as const];
    await expect(openCheckpoint(await write("twice.gguf", { ...contents, metadata }))).rejects.toThrow(
      "twice.gguf has a key of its metadata twice",
    );
  });

  it.each([
    [-32, /tensors \S+ and output\.weight overlap/],
    [-1, "tensor output.weight begins at byte"],
    [1, "no multiple of the file's alignment of 32"],
  ])("with a tensor %i bytes from its place is refused", async (shift, problem) => {
    const file = await write("shifted.gguf", contents);
    const bytes = await readFile(file);
    // After the name: how many dimensions, two of them, a type, then the offset.
    const at = bytes.lastIndexOf("output.weight") + "output.weight".length + 4 + 16 + 4;
    bytes.writeBigUInt64LE(bytes.readBigUInt64LE(at) + BigInt(shift), at);
    await writeFile(file, bytes);
    await expect(openCheckpoint(file)).rejects.toThrow(problem);
  });
});

describe("a GGUF file in shards", () => {
  const SHARDS = 3;
  const nameOf = (i: number): string => `tiny-0000${i + 1}-of-0000${SHARDS}.gguf`;
  /** As llama.cpp's gguf-split writes them: the first one has all metadata. */
  async function split(
    change: (i: number, contents: GgufContents) => GgufContents = (_, own) => own,
  ): Promise<string[]> {
    const { metadata, tensors } = contents;
    const size = Math.ceil(tensors.length / SHARDS);
    const files: string[] = [];
    for (let i = 0; i < SHARDS; i++) {
      const own = {
        metadata: [
          ...(i === 0 ? metadata : []),
          ["split.no", "u32", i] as const,
          ["split.count", "u32", SHARDS] as const,
          ["split.tensors.count", "i32", tensors.length] as const,
        ],
        tensors: tensors.slice(i * size, (i + 1) * size),
      };
      files.push(await write(nameOf(i), change(i, own)));
    }
    return files;
  }

  it("is read whole from any of them", async () => {
    const digest = await whole();
    for (const file of await split()) expect(await digestOf(file)).toBe(digest);
  });

  it("says which one it is and which is missing", async () => {
    const [first, second] = (await split()) as [string, string];
    await rm(second);
    await expect(openCheckpoint(first)).rejects.toThrow(
      /tiny-00001-of-00003\.gguf is shard 1 of 3, and \S+tiny-00002-of-00003\.gguf is missing: put all shards/,
    );
  });

  it("says which one it is where its name does not", async () => {
    const [, second] = (await split()) as [string, string];
    const renamed = join(folder, "renamed.gguf");
    await rename(second, renamed);
    await expect(openCheckpoint(renamed)).rejects.toThrow("renamed.gguf is shard 2 of 3");
  });

  it("is refused where shards are swapped, share a tensor or lack one", async () => {
    const files = await split();
    await rename(files[1]!, join(folder, "aside"));
    await rename(files[2]!, files[1]!);
    await rename(join(folder, "aside"), files[2]!);
    await expect(openCheckpoint(files[0]!)).rejects.toThrow("tiny-00002-of-00003.gguf is shard 3 of 3");
    const { tensors } = contents;
    for (const file of files) await rm(file);
    const [shared] = await split((i, own) => (i === 2 ? { ...own, tensors: [...own.tensors, tensors[0]!] } : own));
    await expect(openCheckpoint(shared!)).rejects.toThrow(
      `tensor ${tensors[0]!.name} is in tiny-00001-of-00003.gguf and in tiny-00003-of-00003.gguf`,
    );
    for (const file of files) await rm(file);
    const [lacking] = await split((i, own) => (i === 2 ? { ...own, tensors: own.tensors.slice(1) } : own));
    await expect(openCheckpoint(lacking!)).rejects.toThrow(/have \d+ tensors instead of \d+/);
  });
});

describe("a safetensors file", () => {
  const entries = ["a", "b"].map((name) => ({ name, dtype: "F32", shape: [2], bytes: 8 }));
  const header = Buffer.from(safetensorsHeader(entries)).subarray(8).toString();
  const places = (text: string, bytes = 16) => readPlaces(Buffer.from(text), bytes);

  it("is read where its tensors lie one after another, in whatever order they are named", () => {
    expect(places(header).map(({ name, start }) => [name, start])).toEqual([
      ["a", 0],
      ["b", 8],
    ]);
    const swapped =
      '{"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}';
    expect(places(swapped)).toHaveLength(2);
    const values = Float32Array.of(1, 2, 3, 4);
    const file = Buffer.concat([safetensorsHeader(entries), new Uint8Array(values.buffer)]);
    expect(readSafetensors(file).get("b")?.values).toEqual(Float32Array.of(3, 4));
  });

  it.each([
    [header.replace('"b"', '"a"'), "tensor a is in its header twice"],
    [header.replace('"b"', '"\\u0061"'), "tensor a is in its header twice"],
    [header.replace("[8,16]", "[4,12]"), "tensor b begins at byte 4, but the tensor before it ends at 8"],
    [header.replace("[8,16]", "[0,8]"), "tensor b begins at byte 0, but the tensor before it ends at 8"],
    [header.replace('"shape":[2],"data_offsets":[8,16]', '"shape":[1],"data_offsets":[9,13]'), "begins at byte 9"],
    [
      header.replace('"shape":[2],"data_offsets":[8,16]', '"shape":[1],"data_offsets":[8,12]'),
      "4 bytes after its last",
    ],
  ])("is refused by name: %#", (text, problem) => {
    expect(() => places(text)).toThrow(problem);
  });
});
