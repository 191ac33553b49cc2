import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { deriveBase } from "../../build/derived-weights.ts";
import { packQ8 } from "../../build/kernel-layout.ts";
import { buildPieces, joinPieces, type SourceTensor } from "../../build/weight-image.ts";
import type { BuiltBase } from "../../build/weight-set.ts";
import { sha256 } from "../../formats/digest.ts";
import { typesOf } from "../../src/variants/layer-tensors.ts";
import type { StoredTensor } from "../../src/variants/recipe.ts";
import { tinyBase, tinyRecipe } from "../support/base.ts";
import { memoryOutput } from "./memory.ts";

const BLOCKS = { f32: 4, q4_1: 20 / 32, q8_0: 34 / 32 };

/** The tiny base with bytes: each tensor is full of a number of its own. */
async function tinyBuilt(output: ReturnType<typeof memoryOutput>): Promise<BuiltBase> {
  const base = tinyBase();
  const sources = base.tensors.map(({ name, rows, cols }, i): SourceTensor => {
    const [type] = typesOf(name);
    return {
      name,
      type,
      rows,
      cols,
      identity: name,
      read: async () => new Uint8Array(rows * cols * BLOCKS[type]).fill(i),
    };
  });
  const pieces = await buildPieces(sources, output);
  return { base: { ...base, ...joinPieces(pieces.values()) }, sources, pieces, tokenizer: undefined as never };
}

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "franken-derive-"));
  await mkdir(join(folder, "tensors"));
  vi.stubEnv("FRANKEN_ARTIFACTS", folder);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

/** Stores a tensor, and says how a recipe names it. */
async function store(
  name: string,
  rows: number,
  cols: number,
  type = typesOf(name)[0],
  fill = 77,
): Promise<StoredTensor> {
  const bytes = new Uint8Array(rows * cols * BLOCKS[type]).fill(fill);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  await writeFile(join(folder, "tensors", `${sha256}.bin`), bytes);
  return { sha256, type, rows, cols };
}

describe("a weight set", () => {
  it("keeps the files of all that its recipe leaves alone", async () => {
    const output = memoryOutput();
    const built = await tinyBuilt(output);
    const before = output.written.size;
    const tensors = {
      "blk.1.ffn_down.bias": await store("blk.1.ffn_down.bias", 1, 64),
      "blk.1.ffn_up.weight": await store("blk.1.ffn_up.weight", 64, 64),
    };
    const base = await deriveBase({ ...tinyRecipe(), tensors }, built, output);
    expect(base.id).toMatch(/^tiny\+[0-9a-f]{12}$/);
    expect(base.checkpoint).toBe("tiny");
    expect(output.written.size).toBe(before + 1);
    const own = base.parts.filter(({ file }) => !built.base.parts.some((part) => part.file === file));
    expect(own).toHaveLength(1);
    const changed = base.tensors.filter(
      ({ name, digest }) => !built.base.tensors.some((t) => t.name === name && t.digest === digest),
    );
    expect(changed.map(({ name, rows, cols }) => [name, rows, cols])).toEqual([
      ["blk.1.ffn_up.weight", 64, 64],
      ["blk.1.ffn_down.bias", 1, 64],
    ]);
    // In the image, each tensor is where its entry says.
    const image = Buffer.concat(base.parts.map(({ file }) => output.written.get(file) as Uint8Array));
    expect(image).toHaveLength(base.imageBytes);
    for (const { offset, bytes, digest } of base.tensors) {
      expect(
        createHash("sha256")
          .update(image.subarray(offset, offset + bytes))
          .digest("hex"),
      ).toBe(digest);
    }
  });

  it("is the same for the same tensors, and packed once", async () => {
    const output = memoryOutput();
    const built = await tinyBuilt(output);
    const tensors = { "blk.0.ffn_up.weight": await store("blk.0.ffn_up.weight", 96, 64) };
    const first = await deriveBase({ ...tinyRecipe(), tensors }, built, output);
    const add = vi.spyOn(output.files, "add");
    expect(await deriveBase({ ...tinyRecipe([{ layer: 0 }]), tensors }, built, output)).toEqual(first);
    expect(add).not.toHaveBeenCalled();
  });

  it("may have linears of 8 bits, packed as those of the output head are", async () => {
    const output = memoryOutput();
    const tensors = { "blk.1.ffn_up.weight": await store("blk.1.ffn_up.weight", 64, 64, "q8_0") };
    const base = await deriveBase({ ...tinyRecipe(), tensors }, await tinyBuilt(output), output);
    const up = base.tensors.find(({ name }) => name === "blk.1.ffn_up.weight");
    const packed = packQ8(new Uint8Array(64 * 64 * BLOCKS.q8_0).fill(77), 64, 64);
    expect(up).toMatchObject({ type: "q8_0", bytes: packed.length, digest: sha256(packed) });
  });

  it("may have an output head of its own", async () => {
    const output = memoryOutput();
    const built = await tinyBuilt(output);
    const tensors = { "output.weight": await store("output.weight", 128, 64) };
    const base = await deriveBase({ ...tinyRecipe(), tensors }, built, output);
    expect(base.tensors.at(-1)).toMatchObject({ name: "output.weight", rows: 128, type: "q8_0" });
  });
});

describe("a tensor is refused, with its name and the recipe's,", () => {
  const up = "blk.0.ffn_up.weight";
  it.each<[string, string, (stored: StoredTensor) => StoredTensor, string]>([
    ["that no engine reads", "blk.0.attn_q.bias", (t) => t, "is none that the engines compute with"],
    ["of a layer that is not there", "blk.3.ffn_up.weight", (t) => t, "its layers are 0 to 2"],
    ["of another type", up, (t) => ({ ...t, type: "f32" }), "is f32, it must be q4_1 or q8_0"],
    ["of broken blocks", up, (t) => ({ ...t, cols: 40 }), "has 40 columns; those of q4_1 are in blocks of 32"],
    ["that is missing", up, (t) => ({ ...t, sha256: "0".repeat(64) }), "is missing: there is no "],
    ["of another size", up, (t) => ({ ...t, rows: 64 }), "bytes in "],
  ])("%s", async (_, name, change, problem) => {
    const output = memoryOutput();
    const built = await tinyBuilt(output);
    const stored = await store(up, 96, 64);
    const recipe = { ...tinyRecipe(), tensors: { [name]: change(stored) } };
    const error = await deriveBase(recipe, built, output).catch((error: Error) => error.message);
    expect(error).toContain(`tiny: tensor ${name} `);
    expect(error).toContain(problem);
  });

  it("that is damaged", async () => {
    const output = memoryOutput();
    const built = await tinyBuilt(output);
    const stored = await store(up, 96, 64);
    await writeFile(join(folder, "tensors", `${stored.sha256}.bin`), new Uint8Array(96 * 64 * BLOCKS.q4_1));
    await expect(deriveBase({ ...tinyRecipe(), tensors: { [up]: stored } }, built, output)).rejects.toThrow(
      `tiny: tensor ${up} is damaged`,
    );
  });

  it("that is not finite", async () => {
    const output = memoryOutput();
    const tensors = { [up]: await store(up, 96, 64, "q4_1", 0xff) };
    await expect(deriveBase({ ...tinyRecipe(), tensors }, await tinyBuilt(output), output)).rejects.toThrow(
      `tiny: tensor ${up} has NaN or infinity as a scale of the block at [0, 0]`,
    );
  });
});
