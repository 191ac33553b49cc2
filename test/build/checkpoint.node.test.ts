import { copyFile, mkdtemp, open, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { buildCatalogue, readRecipes } from "../../build/catalogue.ts";
import { readCheckpoint } from "../../build/checkpoint.ts";
import { modelsDir } from "../../build/paths.ts";
import { buildBase } from "../../build/weight-set.ts";
import type { SlotRecipe } from "../../src/variants/recipe.ts";
import { memoryOutput } from "./memory.ts";

const id = "smollm2-135m-instruct";
const part = (n: number) => `SmolLM2-135M-Instruct.Q4_1.gguf-part-${n}`;

describe("readCheckpoint", () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "checkpoint-"));
    for (const name of ["manifest.json", part(0), part(1), part(2), part(3)]) {
      await copyFile(join(modelsDir, id, name), join(dir, name));
    }
  });
  afterEach(() => rm(dir, { recursive: true }));

  it("reads 272 tensors of a whole checkpoint", async () => {
    const { tensors } = await readCheckpoint(id, dir);
    expect(tensors).toHaveLength(272);
    expect(tensors.filter((tensor) => tensor.type === "q4_1")).toHaveLength(210);
  });

  it("names a part that is missing", async () => {
    await rm(join(dir, part(2)));
    await expect(readCheckpoint(id, dir)).rejects.toThrow(
      `models/${id}/${part(2)} is missing. Get it back with: git checkout`,
    );
  });

  it("names a part that is too short", async () => {
    await truncate(join(dir, part(1)), 1000);
    await expect(readCheckpoint(id, dir)).rejects.toThrow(
      `${part(1)} is damaged: it has 1000 bytes instead of 25165824`,
    );
  });

  it("names a part with one flipped bit", async () => {
    const file = await open(join(dir, part(3)), "r+");
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, 12_345_678);
    byte[0]! ^= 1;
    await file.write(byte, 0, 1, 12_345_678);
    await file.close();
    await expect(readCheckpoint(id, dir)).rejects.toThrow(`${part(3)} is damaged: it does not have the sha256`);
  });
});

describe("buildBase", () => {
  it.each([
    ["rope_freqs.weight", "is not a scaling that Llama 3 has"],
    ["rope_factors_long.weight", "is none that the engines compute with"],
    ["blk.0.attn_q.bias", "is none that the engines compute with"],
  ])("refuses a checkpoint with %s, which no engine reads", async (name, problem) => {
    const checkpoint = await readCheckpoint(id);
    const extra = { name, type: "f32" as const, rows: 1, cols: 32, data: new Uint8Array(128) };
    const tensors = [...checkpoint.tensors, extra];
    await expect(buildBase({ ...checkpoint, tensors }, memoryOutput())).rejects.toThrow(
      `SmolLM2-135M-Instruct.Q4_1.gguf: tensor ${name} ${problem}`,
    );
  });
});

describe("buildCatalogue", () => {
  it("gives the same bytes twice, under names that are their digests, in parts that fit a static asset", async () => {
    const recipes = await readRecipes();
    const outputs = [memoryOutput(), memoryOutput()] as const;
    const [first, second] = [await buildCatalogue(recipes, outputs[0]), await buildCatalogue(recipes, outputs[1])];
    expect(JSON.stringify(second.catalogue)).toBe(JSON.stringify(first.catalogue));
    expect(JSON.stringify(second.tokenizers)).toBe(JSON.stringify(first.tokenizers));
    expect([...outputs[1].written.keys()]).toEqual([...outputs[0].written.keys()]);
    for (const bytes of outputs[0].written.values()) expect(bytes.length).toBeLessThanOrEqual(25 * 1024 * 1024);
  });

  it("refuses a recipe that names a layer which is not there", async () => {
    const [recipe] = await readRecipes();
    const wrong = { ...recipe!, slots: [{ layer: 30, attn: true, mlp: true }] };
    await expect(buildCatalogue([wrong], memoryOutput())).rejects.toThrow("slot 0 names layer 30");
  });

  it("refuses a recipe whose base or adapter is not there", async () => {
    const [recipe] = (await readRecipes()) as [SlotRecipe];
    await expect(buildCatalogue([{ ...recipe, base: "gpt-9" }], memoryOutput())).rejects.toThrow(
      "base gpt-9: models/gpt-9/manifest.json is missing",
    );
    const adapter = { file: "models/none.safetensors", numbering: "layers" as const };
    await expect(buildCatalogue([{ ...recipe, adapter }], memoryOutput())).rejects.toThrow(
      "smollm2-135m: models/none.safetensors is missing",
    );
  });
});

describe("readRecipes", () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "recipes-"));
  });
  afterEach(() => rm(dir, { recursive: true }));
  const recipe = {
    id: "mine",
    base: "b",
    title: "t",
    origin: { source: "s", section: "s" },
    status: "stable",
    slots: [{ layer: 0 }],
  };

  it.each([
    ["{", "is not JSON"],
    ["[]", "is not a recipe"],
    [JSON.stringify({ ...recipe, title: undefined }), "→ at title"],
    [JSON.stringify({ ...recipe, slots: undefined }), "→ at slots"],
    [JSON.stringify({ ...recipe, title: "", slots: [{ layer: 1 }, { layer: "2" }] }), "→ at slots[1].layer"],
    [JSON.stringify({ ...recipe, slots: [{ layer: 0, attn: false, mlp: false }] }), "leave it out"],
    [JSON.stringify({ ...recipe, onnx: { file: "a.onnx", contextLength: 8 } }), 'Unrecognized key: "slots"'],
    [JSON.stringify({ ...recipe, adapter: { file: "models/a.bin" } }), "→ at adapter.file"],
    [JSON.stringify({ ...recipe, id: "other" }), "name the file other.json"],
  ])("names the file and the field at fault: %s", async (text, problem) => {
    await writeFile(join(dir, "mine.json"), text);
    const error = await readRecipes(dir).catch((error: Error) => error.message);
    expect(error).toContain("recipes/mine.json");
    expect(error).toContain(problem);
  });
});
