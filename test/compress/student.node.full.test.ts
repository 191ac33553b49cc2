import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { buildCatalogue, readAllRecipes } from "../../build/catalogue.ts";
import { exportVariant } from "../../compress/export/index.ts";
import { importStudent } from "../../compress/import/student.ts";
import { openCheckpoint } from "../../compress/open.ts";
import { findRecipe, openStack } from "../../compress/stack.ts";
import type { Checkpoint } from "../../formats/checkpoint.ts";
import { dequantizeBlocks } from "../../formats/gguf/dequantize.ts";
import type { LowRankLinear } from "../../formats/peft/write.ts";
import { peftFiles } from "../../formats/peft/write.ts";
import { dequantize } from "../../src/engine/weights.ts";
import { compileCatalogue } from "../../src/variants/catalogue.ts";
import { sharedKv } from "../../src/variants/plan.ts";
import { slotRecipeSchema } from "../../src/variants/recipe.ts";
import { memoryOutput } from "../build/memory.ts";
import { type StudentTensor, studentTensors, writeStudent } from "../support/student.ts";

const BASE = "smollm2-135m-instruct";
const PLANS = {
  "made-up-3": [{ layer: 0 }, { layer: 1 }, { layer: 2 }],
  "made-up-2": [{ layer: 0 }, { layer: 1, attn: false }, { layer: 2 }],
};
let base: Checkpoint;
let tensors: StudentTensor[];
let folder: string;
beforeAll(async () => {
  base = await openCheckpoint(BASE);
  tensors = await studentTensors(base, 3);
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "franken-student-"));
  vi.stubEnv("FRANKEN_ARTIFACTS", join(folder, "artifacts"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

const student = (more: object = {}, changed = tensors, plans: Parameters<typeof writeStudent>[1] = PLANS) =>
  writeStudent(join(folder, "student"), plans, changed, more);
const take = (options: Parameters<typeof importStudent>[1] = {}) => importStudent(join(folder, "student"), options);
/** What the build makes of all recipes, those of the artifacts too. */
async function built() {
  const output = memoryOutput();
  const { catalogue } = await buildCatalogue(await readAllRecipes(), output);
  const image = (id: string): Uint8Array =>
    Buffer.concat(catalogue.bases.find((base) => base.id === id)!.parts.map(({ file }) => output.written.get(file)!));
  return { file: catalogue, catalogue: compileCatalogue(catalogue), image };
}

describe("layers that training left", () => {
  it("are one weight set, of the base's embedding and their own values, and share KV caches", async () => {
    await student();
    expect(await take()).toEqual(Object.keys(PLANS).map((id) => join(folder, "artifacts", "recipes", `${id}.json`)));
    const { file, catalogue, image } = await built();
    const [three, two] = Object.keys(PLANS).map((id) => catalogue.get(id)!.plan);
    expect([three!.base.id, two!.base]).toEqual(["made-up-students", three!.base]);
    expect(three!.base).toMatchObject({ checkpoint: BASE, config: { layers: 3 } });
    const own = file.bases.find(({ id }) => id === BASE)!;
    const shared = three!.base.parts.filter(({ file }) => own.parts.some((part) => part.file === file));
    expect(shared.reduce((sum, { bytes }) => sum + bytes, 0)).toBeGreaterThanOrEqual(three!.head.bytes);
    expect(three!.base.parts).toHaveLength(shared.length + 3 + 1);
    const whole = image("made-up-students");
    for (const { name, dtype, data } of tensors) {
      const tensor = three!.base.tensors.find((tensor) => tensor.name === name)!;
      const values = dequantizeBlocks(dtype === "U8" ? "q4_1" : "f32", data);
      const found = dequantize(tensor, whole);
      expect([name, Buffer.from(found.buffer).equals(Buffer.from(values.buffer))]).toEqual([name, true]);
    }

    // An answer may go on from a deeper plan with a shallower one, and not the other way round.
    const plan = (id: string) => catalogue.get(id)!.plan;
    expect(sharedKv(plan("made-up-3"), plan("made-up-2"))).toEqual([0, 2]);
    expect(sharedKv(plan("made-up-2"), plan("made-up-3"))).toBeUndefined();
    expect(sharedKv(plan("smollm2-135m"), plan("made-up-2"))).toBeUndefined();
  });

  it("are what the toolkit works on and hands on", async () => {
    await student();
    await take();
    const { slots, outputNorm } = await openStack(await findRecipe("made-up-2"));
    const given = new Map(tensors.map(({ name, data }) => [name, data]));
    expect(slots.map(({ shape }) => shape)).toEqual([
      ...[{ heads: 9, kvHeads: 3, ffn: 1536 }],
      ...[{ heads: 0, kvHeads: 0, ffn: 1536 }],
      ...[{ heads: 9, kvHeads: 3, ffn: 1536 }],
    ]);
    expect(Buffer.from(await slots[2]!.tensors.get("attn_q.weight")!.bytes())).toEqual(
      Buffer.from(given.get("blk.2.attn_q.weight")!),
    );
    expect(Buffer.from(await outputNorm.bytes())).toEqual(Buffer.from(given.get("output_norm.weight")!));
    expect((await openCheckpoint("made-up-3")).shape.layers).toHaveLength(3);
    await expect(exportVariant("made-up-3", "mergekit")).rejects.toThrow("changes weights");
  });

  it("say in each recipe where they came from", async () => {
    await student();
    const [file, other] = await take();
    expect(await readFile(other!, "utf8")).toContain('\n    { "layer": 0 },\n    { "layer": 1, "attn": false }');
    const recipe = slotRecipeSchema.parse(JSON.parse(await readFile(file!, "utf8")));
    expect(recipe).toMatchObject({
      id: "made-up-3",
      base: BASE,
      layers: "artifacts/models/made-up-students",
      status: "research",
      provenance: { method: "distill", checkpoint: base.digest, seed: 1, arguments: { tokens: 0 } },
    });
  });

  it("may be some, which take the place of the base's, without what no plan uses", async () => {
    const own = tensors.filter(({ name }) => /^blk\.1\.ffn|^output_norm/.test(name));
    const plan = Array.from({ length: base.shape.layers.length }, (_, layer) => ({ layer, attn: layer !== 1 }));
    await student({ layers: "some" }, own, { "made-up-some": plan });
    await take();
    const { file, catalogue, image } = await built();
    const { base: set } = catalogue.get("made-up-some")!.plan;
    const whole = file.bases.find(({ id }) => id === BASE)!;
    expect(set.tensors).toHaveLength(whole.tensors.length - 5);
    const shared = set.parts.filter(({ file }) => whole.parts.some((part) => part.file === file));
    expect(shared).toHaveLength(set.parts.length - 2);
    const bytes = image("made-up-students");
    for (const { name, dtype, data } of own) {
      const values = dequantizeBlocks(dtype === "U8" ? "q4_1" : "f32", data);
      const found = dequantize(set.tensors.find((tensor) => tensor.name === name)!, bytes);
      expect([name, Buffer.from(found.buffer).equals(Buffer.from(values.buffer))]).toEqual([name, true]);
    }
    const { slots } = await openStack(await findRecipe("made-up-some"));
    expect(slots.map(({ shape }) => shape.heads)).toEqual(plan.map(({ attn }) => (attn ? 9 : 0)));
    const stored = await slots[1]!.tensors.get("ffn_up.weight")!.bytes();
    expect(Buffer.from(stored).equals(own.find(({ name }) => name === "blk.1.ffn_up.weight")!.data)).toBe(true);
    expect(Buffer.from(await slots[2]!.tensors.get("ffn_up.weight")!.bytes())).toEqual(
      Buffer.from(await base.readStored("blk.2.ffn_up.weight")),
    );
  });

  it("are replaced only by force, and then whole", async () => {
    await student();
    await take();
    await expect(take()).rejects.toThrow("made-up-students is there already: replace it with --force");
    await expect(take({ force: true })).resolves.toHaveLength(2);
  });
});

describe("what training left and cannot be served", () => {
  const changed = (name: string, change: (tensor: StudentTensor) => Partial<StudentTensor>) =>
    tensors.map((tensor) => (tensor.name === name ? { ...tensor, ...change(tensor) } : tensor));
  const poked = (name: string, at: number, bytes: readonly number[]) =>
    changed(name, ({ data }) => {
      const copy = Uint8Array.from(data);
      copy.set(bytes, at);
      return { data: copy };
    });
  it.each<[string, () => StudentTensor[], string, object?]>([
    [
      "a scale that is infinite",
      () => poked("blk.1.ffn_up.weight", 360 + 20, [0, 0x7c]),
      "blk.1.ffn_up.weight has NaN or infinity as a scale of the block at [1, 32]",
    ],
    [
      "a minimum that is none",
      () => poked("blk.1.ffn_up.weight", 2, [1, 0x7e]),
      "blk.1.ffn_up.weight has NaN or infinity as a scale of the block at [0, 0]",
    ],
    [
      "a norm that is none",
      () => poked("blk.2.ffn_norm.weight", 8, [0, 0, 0xc0, 0x7f]),
      "blk.2.ffn_norm.weight has NaN or infinity at [0, 2]",
    ],
    [
      "a layer that is left out",
      () => tensors.filter(({ name }) => !name.startsWith("blk.1.")),
      "it has 2 layers, but none of them is layer 1",
    ],
    [
      "half an attention",
      () => tensors.filter(({ name }) => name !== "blk.0.attn_k.weight"),
      "made-up-3: slot 0 needs blk.0.attn_k.weight which is not there",
    ],
    [
      "a head",
      () => changed("output_norm.weight", () => ({ name: "output.weight" })),
      "output.weight is none of a layer's",
    ],
    [
      "a norm in blocks",
      () => changed("blk.0.ffn_norm.weight", () => ({ dtype: "U8", shape: [1, 2304] })),
      "blk.0.ffn_norm.weight is q4_1, it must be f32",
    ],
    [
      "a matrix that is too wide",
      () => changed("blk.0.ffn_gate.weight", () => ({ shape: [768, 720] })),
      "slot 0 needs blk.0.ffn_gate.weight as [1536, 576]",
    ],
    [
      "half a block",
      () => changed("blk.0.ffn_gate.weight", () => ({ shape: [55296, 10] })),
      "it must be [rows, columns / 32 * 20]",
    ],
    [
      "fp16 values",
      () => changed("blk.0.ffn_gate.weight", () => ({ dtype: "F16", shape: [768, 360] })),
      "blk.0.ffn_gate.weight is F16; U8, F32 are read",
    ],
    [
      "a layer beyond the base's",
      () => changed("blk.2.ffn_up.weight", () => ({ name: "blk.30.ffn_up.weight" })),
      "it has layer 30, but the base has 30 layers",
      { layers: "some" },
    ],
  ])("is refused by name, and leaves nothing: %s", async (_, make, problem, more = {}) => {
    await student(more, make());
    await expect(take()).rejects.toThrow(problem);
    expect(await readdir(folder)).toEqual(["student"]);
  });

  it.each<[string, object, Record<string, object[]>, string]>([
    [
      "a slot beyond its layers",
      {},
      { wrong: [{ layer: 3 }] },
      "wrong: slot 0 names layer 3, but made-up-students has layers 0 to 2",
    ],
    ["no plan", {}, {}, "there must be a plan"],
    [
      "some layers without what a slot needs",
      { layers: "some" },
      { wrong: [{ layer: 3 }, { layer: 30 }] },
      "layers 0 to 29",
    ],
    ["layers that are neither all nor some", { layers: "few" }, PLANS, "layers"],
    ["an unknown field", { teacher: "x" }, PLANS, "teacher"],
    ["another base", { base: "other/model" }, PLANS, "is about other/model, which is no base here"],
    ["a path for an id", { id: "../x" }, PLANS, "id"],
  ])("is refused by name, and leaves nothing: %s", async (_, more, plans, problem) => {
    await student(more, tensors, plans);
    await expect(take()).rejects.toThrow(problem);
    expect(await readdir(folder)).toEqual(["student"]);
  });

  it("names the folder that a recipe's layers are missing or damaged in", async () => {
    await student();
    await take();
    const part = join(folder, "artifacts", "models", "made-up-students", "student.safetensors-part-0");
    const bytes = await readFile(part);
    bytes[1000] = (bytes[1000] as number) ^ 1;
    await writeFile(part, bytes);
    await expect(built()).rejects.toThrow("made-up-students/student.safetensors-part-0 is damaged");
  });
});

describe("an adapter that training left", () => {
  const linear: LowRankLinear = {
    layer: 2,
    linear: "v",
    rows: 192,
    cols: 576,
    rank: 2,
    a: new Float32Array(2 * 576).fill(0.5),
    b: new Float32Array(192 * 2).fill(0.25),
  };
  const plans = { "made-up-attn": [{ layer: 0, attn: false }, { layer: 1 }, { layer: 2 }] };
  const write = async (config: object = {}): Promise<void> => {
    await student({ id: "made-up-attn" }, tensors, plans);
    await rm(join(folder, "student", "student.safetensors"));
    for (const [name, bytes] of peftFiles({ linears: [linear] }, "/somewhere/on/a/disk")) {
      const said = {
        ...JSON.parse(name.endsWith(".json") ? Buffer.from(bytes).toString() : "{}"),
        alpha_pattern: {},
        ...config,
      };
      await writeFile(
        join(folder, "student", name),
        name.endsWith(".json") ? JSON.stringify({ ...said, rank_pattern: {} }) : bytes,
      );
    }
  };

  it("is served on the base's own weights, and names the base and no path", async () => {
    await write();
    await take();
    const { catalogue } = await built();
    const { plan } = catalogue.get("made-up-attn")!;
    expect([plan.base.id, plan.kvSlots]).toEqual([BASE, 2]);
    expect(plan.adapter!.linears.map(({ slot, linear }) => [slot, linear])).toEqual([[2, "v"]]);
    const kept = join(folder, "artifacts", "models", "made-up-attn");
    expect((await readdir(kept)).toSorted()).toEqual(["LICENSE", "adapter_config.json", "adapter_model.safetensors"]);
    expect(JSON.parse(await readFile(join(kept, "adapter_config.json"), "utf8"))).toMatchObject({
      base_model_name_or_path: "HuggingFaceTB/SmolLM2-135M-Instruct",
    });
  });

  it("is refused where it changes nothing of the plan, or has several", async () => {
    await write();
    const none = { "made-up-attn": [{ layer: 0 }] };
    await student({ id: "made-up-attn" }, tensors, none);
    await rm(join(folder, "student", "student.safetensors"));
    await expect(take()).rejects.toThrow("it changes nothing in the recipe");
    await student({ id: "made-up-attn" }, tensors, { ...plans, ...PLANS });
    await rm(join(folder, "student", "student.safetensors"));
    await expect(take()).rejects.toThrow("an adapter has one plan");
  });
});
