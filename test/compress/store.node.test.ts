import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Artifact } from "../../compress/artifact.ts";
import { changesOf, listArtifacts, readArtifactRecipe, readChange, writeArtifact } from "../../compress/store.ts";
import { peftFiles } from "../../formats/peft/write.ts";
import { readSafetensors } from "../../formats/safetensors.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "franken-store-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const artifact = (fill = 1): Artifact => ({
  recipe: {
    id: "made-up",
    base: "smollm2-135m-instruct",
    title: "Made up",
    origin: { source: "a test", section: "none" },
    status: "research",
    slots: [{ layer: 0, attn: true, mlp: true }],
  },
  tensors: [
    { name: "blk.0.ffn_up.weight", type: "q4_1", rows: 1, cols: 32, data: new Uint8Array(20).fill(fill), bits: 3.5 },
    { name: "blk.0.ffn_down.bias", type: "f32", rows: 1, cols: 1, data: new Uint8Array(4).fill(fill) },
  ],
  adapter: {
    linears: [
      { layer: 0, linear: "q", rows: 2, cols: 3, rank: 1, a: Float32Array.of(1, 2, 3), b: Float32Array.of(fill, 5) },
      {
        layer: 0,
        linear: "v",
        rows: 1,
        cols: 3,
        rank: 2,
        a: Float32Array.of(1, 2, 3, 4, 5, 6),
        b: Float32Array.of(7, 8),
      },
    ],
  },
  provenance: { method: "made-up", arguments: { fill }, checkpoint: "0".repeat(64), seed: 1, version: "1" },
});

const files = async (): Promise<string[]> => {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
};
const contents = async (): Promise<string[]> =>
  Promise.all((await files()).map(async (file) => `${file} ${(await readFile(file)).toString("base64")}`));

it("gives back what was written", async () => {
  await writeArtifact(artifact(), { folder });
  expect(await listArtifacts(folder)).toEqual(["made-up"]);
  const recipe = await readArtifactRecipe("made-up", folder);
  expect(recipe.provenance).toEqual(artifact().provenance);
  expect(changesOf(recipe).map(({ sha256: _, ...tensor }) => tensor)).toEqual(
    artifact().tensors.map(({ data: _, ...tensor }) => tensor),
  );
  for (const [i, change] of changesOf(recipe).entries()) {
    expect([...(await readChange(change, folder))]).toEqual([...(artifact().tensors[i]?.data ?? [])]);
  }
});

it("writes an adapter that PEFT's names and scales fit", async () => {
  await writeArtifact(artifact(), { folder });
  const file = await readFile(join(folder, "adapters/made-up/adapter_model.safetensors"));
  const tensors = readSafetensors(file);
  expect(tensors.get("base_model.model.model.layers.0.self_attn.v_proj.lora_A.weight")).toEqual({
    shape: [2, 3],
    values: Float32Array.of(1, 2, 3, 4, 5, 6),
  });
  const config = JSON.parse(await readFile(join(folder, "adapters/made-up/adapter_config.json"), "utf8"));
  expect(config).toMatchObject({
    r: 2,
    lora_alpha: 2,
    rank_pattern: { "layers.0.self_attn.q_proj": 1 },
    target_modules: ["q_proj", "v_proj"],
    layers_to_transform: [0],
  });
});

it("names each module to PEFT where layers have different ones", () => {
  const linears = (artifact().adapter?.linears ?? []).map((linear, layer) => ({ ...linear, layer }));
  const config = JSON.parse(Buffer.from(peftFiles({ linears }, "base").get("adapter_config.json") ?? "").toString());
  expect(config.target_modules).toEqual(["layers.0.self_attn.q_proj", "layers.1.self_attn.v_proj"]);
  expect(config).not.toHaveProperty("layers_to_transform");
});

it("gives the same bytes for the same artifact, and lets it be written again", async () => {
  await writeArtifact(artifact(), { folder });
  const before = await contents();
  expect(await writeArtifact(artifact(), { folder })).toMatchObject({ existed: true });
  expect(await contents()).toEqual(before);
});

it("replaces an id of other content by force only", async () => {
  await writeArtifact(artifact(1), { folder });
  await expect(writeArtifact(artifact(2), { folder })).rejects.toThrow("made-up exists with other content");
  await writeArtifact(artifact(2), { folder, force: true });
  expect((await readArtifactRecipe("made-up", folder)).provenance?.arguments).toEqual({ fill: 2 });
});

it.each([0, 1, 2, 3, 4])("leaves nothing under a final name when the disk is full at file %i", async (failing) => {
  let written = 0;
  const write = async (file: string, bytes: Uint8Array): Promise<void> => {
    if (written++ < failing) return writeFile(file, bytes);
    await writeFile(file, bytes.subarray(0, bytes.length >> 1));
    throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
  };
  await expect(writeArtifact(artifact(), { folder, write })).rejects.toThrow("the disk is full, and made-up takes");
  expect(await listArtifacts(folder)).toEqual([]);
  expect((await readdir(folder)).filter((name) => name.startsWith(".tmp"))).toEqual([]);
  // Tensors that were finished are whole.
  for (const file of (await files()).filter((name) => name.endsWith(".bin"))) {
    const sha256 = file.slice(-68, -4);
    await readChange({ name: file, type: "f32", rows: 1, cols: 1, sha256 }, folder);
  }
});

it("keeps the artifact that was there when its replacement fails", async () => {
  await writeArtifact(artifact(1), { folder });
  const write = () => Promise.reject(new Error("input/output error"));
  await expect(writeArtifact(artifact(2), { folder, force: true, write })).rejects.toThrow("input/output error");
  expect((await readArtifactRecipe("made-up", folder)).provenance?.arguments).toEqual({ fill: 1 });
});

it("tells a tensor that was damaged or is missing from one that is whole", async () => {
  await writeArtifact(artifact(), { folder });
  const [change, other] = changesOf(await readArtifactRecipe("made-up", folder));
  await writeFile(join(folder, `tensors/${change?.sha256}.bin`), "other");
  await rm(join(folder, `tensors/${other?.sha256}.bin`));
  await expect(readChange(change as never, folder)).rejects.toThrow("blk.0.ffn_up.weight, is damaged");
  await expect(readChange(other as never, folder)).rejects.toThrow("blk.0.ffn_down.bias, is missing");
  await writeArtifact(artifact(), { folder });
  expect(await readChange(change as never, folder)).toHaveLength(20);
});

it("names what there is when an id is not", async () => {
  await writeArtifact(artifact(), { folder });
  await expect(readArtifactRecipe("../made-up", folder)).rejects.toThrow("there are: made-up");
});
