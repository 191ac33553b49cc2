// Checkpoints that are not whole, or hold what is not read: each names the file or the tensor, and what to do.
import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type CheckpointManifest, parseCheckpoint } from "../../build/checkpoint.ts";
import { ggufOutput } from "../../compress/export/gguf.ts";
import { huggingFaceOutput } from "../../compress/export/hf.ts";
import { openCheckpoint } from "../../compress/open.ts";
import { putOutput } from "../../compress/output.ts";
import { stackOf } from "../../compress/stack.ts";
import { UserError } from "../../formats/error.ts";
import { dequantizeBlocks } from "../../formats/gguf/dequantize.ts";
import { firstNotFinite } from "../../formats/gguf/finite.ts";
import { BLOCKS, type BlockType } from "../../formats/gguf/header.ts";
import { INDEX } from "../../formats/hugging-face/shards.ts";
import { recipeOf } from "../compress/recipe.ts";
import { tinyCheckpoint } from "../compress/tiny.ts";
import blocks from "../fixtures/gguf-blocks/vectors.json" with { type: "json" };
import { shard, shardName } from "./shards.ts";

const SHARDS = 3;
const base = tinyCheckpoint({ untied: true });
const all = recipeOf(base.shape.layers.map((_, layer) => ({ layer })));
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "franken-damaged-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** What is wrong with a checkpoint. */
async function problemOf(path: string): Promise<string> {
  const error = await openCheckpoint(path).then(
    () => undefined,
    (error) => error,
  );
  expect(error).toBeInstanceOf(UserError);
  return (error as Error).message;
}

describe("shards of safetensors", () => {
  let map: Record<string, string>;
  const last = shardName(SHARDS - 1, SHARDS);
  beforeEach(async () => {
    await putOutput(folder, huggingFaceOutput(await stackOf(all, base), "f16"), { force: true });
    const whole = await openCheckpoint(folder);
    await whole.close();
    map = await shard(folder, SHARDS);
    const sharded = await openCheckpoint(folder);
    await sharded.close();
    expect(sharded.digest).toBe(whole.digest);
  });

  it("are named where one is missing", async () => {
    await rm(join(folder, last));
    expect(await problemOf(folder)).toMatch(`${last} is missing, which ${INDEX} names: download it too`);
  });

  it("are named where one lacks a tensor that the index puts there", async () => {
    const name = "model.layers.1.mlp.down_proj.weight";
    await writeFile(join(folder, INDEX), JSON.stringify({ weight_map: { ...map, [name]: last } }));
    // Though another shard has it.
    expect(map[name]).not.toBe(last);
    expect(await problemOf(folder)).toMatch(
      `${last} lacks tensor ${name}, which ${INDEX} puts there: download both again`,
    );
  });

  it("are named where the index leaves a tensor out", async () => {
    const { "lm_head.weight": _, ...rest } = map;
    const without = Object.fromEntries(Object.entries(rest).filter(([, file]) => file !== last));
    await writeFile(join(folder, INDEX), JSON.stringify({ weight_map: without }));
    expect(await problemOf(folder)).toMatch(/tensor \S+ is missing/);
  });

  it.each([
    ["within the length of the header", 5, "its header ends beyond the file, which is cut off at 5 bytes"],
    ["within the header", 100, "its header ends beyond the file, which is cut off at 100 bytes"],
  ])("are named where one is cut off %s", async (_, size, problem) => {
    await truncate(join(folder, last), size);
    const message = await problemOf(folder);
    expect(message).toContain(last);
    expect(message).toContain(problem);
    expect(message).toContain("download or copy it again");
  });

  it("are named where one is cut off within a tensor, with the tensor", async () => {
    const { length } = await readFile(join(folder, last));
    await truncate(join(folder, last), length - 10);
    const message = await problemOf(folder);
    expect(message).toContain(`${last}: tensor lm_head.weight ends beyond the file, which is cut off`);
    expect(message).toContain("download or copy it again");
  });

  it.each([
    ["{", "is not an index of shards"],
    ["{}", "→ at weight_map"],
    ['{"weight_map": {"lm_head.weight": "../other.safetensors"}}', "it names ../other.safetensors"],
  ])("are refused where the index is %s", async (index, problem) => {
    await writeFile(join(folder, INDEX), index);
    const message = await problemOf(folder);
    expect(message).toContain(INDEX);
    expect(message).toContain(problem);
  });
});

describe("a GGUF file", () => {
  let file: string;
  let bytes: Buffer;
  beforeEach(async () => {
    file = join(folder, "tiny.gguf");
    await putOutput(file, ggufOutput(await stackOf(all, base), "stored"));
    bytes = await readFile(file);
  });
  /** Where the last tensor's name stands in the header. */
  const lastName = (): number => bytes.lastIndexOf("output.weight");

  it("cut off anywhere within its header is said to be", async () => {
    const header = lastName() + 40;
    for (let size = 0; size < header; size += 61) {
      await writeFile(file, bytes.subarray(0, size));
      const message = await problemOf(file);
      expect(message, `${size}`).toContain("tiny.gguf");
      expect(message, `${size}`).toContain("download or copy it again");
    }
  });

  it("cut off within a tensor's data names the tensor", async () => {
    await truncate(file, bytes.length - 100);
    expect(await problemOf(file)).toMatch(
      /tiny\.gguf: tensor \S+ ends beyond the file, which is cut off at \d+ bytes: download or copy it again/,
    );
  });

  it.each([
    [10, "Q2_K"],
    [200, "200"],
  ])("with a tensor of a type that is not read names both: %i", async (code, type) => {
    // After the name: how many dimensions, two of them, then the type.
    bytes.writeUInt32LE(code, lastName() + "output.weight".length + 4 + 16);
    await writeFile(file, bytes);
    const message = await problemOf(file);
    expect(message).toContain(`tiny.gguf: tensor output.weight is ${type}; F32, F16, BF16, Q8_0`);
    expect(message).toContain("convert");
  });

  it("that is none is said not to be", async () => {
    await writeFile(file, "not a model");
    expect(await problemOf(file)).toContain("tiny.gguf is not a whole GGUF file");
  });
});

describe("a number that is none", () => {
  const HALF = ["f16", "q8_0", "q4_0", "q4_1", "q4_k", "q6_k"];
  const of = (type: string): Uint8Array => Buffer.from(blocks[type as keyof typeof blocks].data, "base64");

  it.each(Object.keys(BLOCKS) as BlockType[])("is found wherever a block of %s can have one", (type) => {
    const clean = of(type in blocks ? type : "q8_0");
    const data = type in blocks ? clean : new Uint8Array(clean.length);
    const { bytes, values } = BLOCKS[type];
    expect(firstNotFinite(type, data)).toBeUndefined();
    const scales = { q4_1: [0, 2], q4_k: [0, 2], q6_k: [208] }[type as string] ?? [0];
    for (const [bits, width] of HALF.includes(type)
      ? [[0x7c00, 2] as const, [0xfe01, 2] as const]
      : type === "bf16"
        ? [[0x7f80, 2] as const, [0xffc0, 2] as const]
        : [[0x7f800000, 4] as const, [0xffc00000, 4] as const]) {
      for (const at of scales) {
        const spoiled = Buffer.from(data);
        if (width === 2) spoiled.writeUInt16LE(bits, bytes + at);
        else spoiled.writeUInt32LE(bits, bytes + at);
        expect(firstNotFinite(type, spoiled), `${bits}`).toBe(values);
        const read = dequantizeBlocks(type, spoiled);
        expect(read.subarray(values, 2 * values).some((value) => !Number.isFinite(value))).toBe(true);
      }
    }
  });

  it.each([
    ["blk.1.ffn_norm.weight", "[0, 5]"],
    ["output_norm.weight", "[0, 5]"],
    ["token_embd.weight", "[1, 7]"],
    ["blk.3.ffn_down.weight", "[0, 55]"],
  ])("is named with its tensor when the checkpoint is opened: %s", async (name, place) => {
    const at = place === "[0, 5]" ? 5 : 55;
    const fill = (own: string, count: number): Float32Array => {
      const values = new Float32Array(count).fill(0.5);
      if (own === name) values[at] = Number.POSITIVE_INFINITY;
      return values;
    };
    const stack = await stackOf(all, tinyCheckpoint({ fill }));
    await putOutput(join(folder, "hf"), huggingFaceOutput(stack, "f32"));
    await putOutput(join(folder, "a.gguf"), ggufOutput(stack, "f32"));
    for (const source of ["hf", "a.gguf"]) {
      expect(await problemOf(join(folder, source))).toContain(`tensor ${name} has NaN or infinity at ${place}`);
    }
    // A base that somebody put among the artifacts comes to the build without an import.
    const manifest = { file: "a.gguf" } as CheckpointManifest;
    const built = parseCheckpoint({ manifest, file: await readFile(join(folder, "a.gguf")) });
    await expect(built).rejects.toThrow(`a.gguf: tensor ${name} has NaN or infinity at ${place}`);
  });
});
