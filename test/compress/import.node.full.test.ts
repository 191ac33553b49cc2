import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { readRecipes } from "../../build/catalogue.ts";
import { readCheckpoint } from "../../build/checkpoint.ts";
import { buildBase } from "../../build/weight-set.ts";
import { ggufOutput } from "../../compress/export/gguf.ts";
import { huggingFaceOutput } from "../../compress/export/hf.ts";
import { exportVariant } from "../../compress/export/index.ts";
import { importCheckpoint } from "../../compress/import/checkpoint.ts";
import { importSource } from "../../compress/import/index.ts";
import { openCheckpoint } from "../../compress/open.ts";
import { putOutput } from "../../compress/output.ts";
import { stackOf } from "../../compress/stack.ts";
import type { Checkpoint } from "../../formats/checkpoint.ts";
import type { LowRankLinear } from "../../formats/peft/write.ts";
import { peftFiles } from "../../formats/peft/write.ts";
import { slotRecipeSchema } from "../../src/variants/recipe.ts";
import { memoryOutput } from "../build/memory.ts";
import { recipeOf } from "./recipe.ts";
import { tinyCheckpoint, tinyShape } from "./tiny.ts";

const BASE = "smollm2-135m-instruct";
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "franken-import-"));
  vi.stubEnv("FRANKEN_ARTIFACTS", join(folder, "artifacts"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

const put = async (name: string, content: string | object): Promise<string> => {
  const file = join(folder, name);
  await mkdir(join(file, ".."), { recursive: true });
  await writeFile(file, typeof content === "string" ? content : JSON.stringify(content));
  return file;
};
const recipeIn = async (file: string) => slotRecipeSchema.parse(JSON.parse(await readFile(file, "utf8")));
const shipped = async (id: string) => {
  const recipe = (await readRecipes()).find((recipe) => recipe.id === id);
  return recipe && "slots" in recipe ? recipe.slots : undefined;
};

const slice = (range: string, model = "HuggingFaceTB/SmolLM2-135M-Instruct"): string =>
  `  - sources:\n      - model: ${model}\n        layer_range: ${range}\n`;

describe("mergekit", () => {
  it("takes back what is exported, by the Hugging Face id of the base", async () => {
    const out = join(folder, "franken.yaml");
    await putOutput(out, await exportVariant("smollm2-135m-franken-9-19r2", "mergekit"));
    const recipe = await recipeIn(await importSource(out));
    expect(recipe).toMatchObject({ id: "franken", base: BASE, provenance: { method: "import" } });
    expect(recipe.slots).toEqual(await shipped("smollm2-135m-franken-9-19r2"));
  });

  it("keeps the LoRA that is added to the model, whatever --base says", async () => {
    const linear: LowRankLinear = {
      layer: 1,
      linear: "v",
      rows: 192,
      cols: 576,
      rank: 2,
      a: new Float32Array(2 * 576).fill(0.5),
      b: new Float32Array(192 * 2).fill(0.25),
    };
    for (const [name, bytes] of peftFiles({ linears: [linear] }, "a/b")) {
      await put(`lora/${name}`, "");
      await writeFile(join(folder, "lora", name), bytes);
    }
    const yaml = `merge_method: passthrough\nslices:\n${slice("[0, 3]", `a/b+${join(folder, "lora")}`)}`;
    const recipe = await recipeIn(await importSource(await put("x.yaml", yaml), { base: "smollm2-135m" }));
    expect(recipe.slots).toHaveLength(3);
    expect(recipe.adapter?.file).toBe("artifacts/adapters/x/adapter_model.safetensors");
    const beyond = yaml.replace(join(folder, "lora"), join(folder, "lora+c/d"));
    await expect(importSource(await put("y.yaml", beyond))).rejects.toThrow("names more than one adapter");
  });

  it.each([
    [`merge_method: slerp\nslices:\n${slice("[0, 2]")}`, "merge_method is slerp; only passthrough"],
    [
      `merge_method: passthrough\nslices:\n${slice("[0, 2]")}${slice("[0, 2]", "other/model")}`,
      "and of other/model; they must be of one model",
    ],
    [`merge_method: passthrough\nslices:\n${slice("[28, 31]")}`, "slot 2 is of layer 30"],
    [`merge_method: passthrough\nslices:\n${slice("[2, 2]")}`, "slice 0 has the empty layer_range [2, 2]"],
    [
      `merge_method: passthrough\nslices:\n${slice("[0, 2]", "other/model")}`,
      "is about other/model, which is no base here",
    ],
    [`merge_method: passthrough\nparameters: {t: 1}\nslices:\n${slice("[0, 2]")}`, 'Unrecognized key: "parameters"'],
    ["a: [", "is not YAML"],
    ["just text", "merge_method is undefined"],
  ])("names what of a configuration it cannot take: %#", async (yaml, problem) => {
    const file = await put("x.yaml", yaml);
    await expect(importSource(file)).rejects.toThrow(problem);
  });
});

it("a recipe under the id of one that ships is refused: no start would take both", async () => {
  const file = await put("x.yaml", `merge_method: passthrough\nslices:\n${slice("[0, 3]")}`);
  await expect(importSource(file, { id: "smollm2-135m" })).rejects.toThrow(
    "smollm2-135m: a recipe that comes with the project has this id",
  );
});

describe("LLM-Drop", () => {
  const config = { num_hidden_layers: 30, hidden_size: 576 };

  it("drops what the lists say, of a file or a folder", async () => {
    const lists = { drop_attn_list: [6, 7, 3], drop_mlp_list: [3], ...config };
    const file = await put("drop/config.json", lists);
    for (const [i, source] of [file, join(folder, "drop")].entries()) {
      const { slots } = await recipeIn(await importSource(source, { id: `drop-${i}`, base: "smollm2-135m" }));
      expect(slots).toHaveLength(29);
      expect(slots.filter(({ attn }) => !attn).map(({ layer }) => layer)).toEqual([6, 7]);
    }
  });

  it.each([
    [{ drop_attn_list: [30], drop_mlp_list: null }, "drops of layer 30; the base has 0 to 29"],
    [{ drop_attn_list: [1], num_hidden_layers: 32 }, "is of a model of 32 layers; the base has 30"],
    [{ drop_attn_list: ["a"] }, "drop_attn_list"],
    [{ neither: 1 }, "neither a recipe nor LLM-Drop's config.json"],
  ])("names what does not fit the base: %#", async (lists, problem) => {
    const file = await put("lists.json", lists);
    await expect(importSource(file, { base: "smollm2-135m" })).rejects.toThrow(problem);
  });
});

describe("PEFT", () => {
  const linear: LowRankLinear = {
    layer: 2,
    linear: "v",
    rows: 192,
    cols: 576,
    rank: 2,
    a: new Float32Array(2 * 576).fill(0.5),
    b: new Float32Array(192 * 2).fill(0.25),
  };
  const write = async (change: object = {}, linears = [linear]): Promise<string> => {
    for (const [name, bytes] of peftFiles({ linears }, "HuggingFaceTB/SmolLM2-135M-Instruct")) {
      const config = name.endsWith(".json") ? { ...JSON.parse(Buffer.from(bytes).toString()), ...change } : undefined;
      await put(`lora/${name}`, "");
      await writeFile(join(folder, "lora", name), config ? JSON.stringify(config) : bytes);
    }
    return join(folder, "lora");
  };

  it("keeps an adapter's factors, with the scale in B", async () => {
    const pattern = { "^model.layers.2.self_attn.[qv]_proj": 6 };
    const file = await importSource(await write({ lora_alpha: 2, alpha_pattern: pattern }));
    const recipe = await recipeIn(file);
    expect(recipe.slots).toHaveLength(30);
    const out = join(folder, "again");
    await putOutput(out, await exportVariant("lora", "peft"));
    await expect(importSource(out, { id: "again" })).resolves.toContain("again.json");
    const bytes = await readFile(join(out, "adapter_model.safetensors"));
    // 0.25 * alpha / rank; the file ends with B.
    expect(bytes.readFloatLE(bytes.length - 4)).toBe(0.75);
  });

  it.each(["a", "b"] as const)("names the place where a factor is no number: %s", async (side) => {
    const values = Float32Array.from(linear[side]);
    values[3] = Number.NaN;
    await expect(importSource(await write({}, [{ ...linear, [side]: values }]))).rejects.toThrow(
      `layer 2 v_proj: lora_${side.toUpperCase()} has NaN or infinity at [${side === "a" ? "0, 3" : "1, 1"}]`,
    );
    const huge = { ...linear, b: new Float32Array(192 * 2).fill(3e38) };
    await expect(importSource(await write({ lora_alpha: 1000, alpha_pattern: {} }, [huge]))).rejects.toThrow("lora_B");
  });

  it.each([
    [{ use_dora: true }, "use_dora"],
    [{ bias: "all" }, "bias"],
    [{ modules_to_save: ["lm_head"] }, "modules_to_save"],
    [{ peft_type: "IA3" }, "peft_type"],
  ])("names the setting that it has no arithmetic for: %j", async (change, field) => {
    await expect(importSource(await write(change))).rejects.toThrow(field);
  });

  it("names the factors that change no slot of the recipe", async () => {
    const lora = await write();
    const yaml = `merge_method: passthrough\nslices:\n${slice("[0, 2]", `a/b+${lora}`)}`;
    await expect(importSource(await put("x.yaml", yaml), { base: "smollm2-135m" })).rejects.toThrow(
      "x.yaml cannot be served: x: adapter",
    );
  });

  it("names the factors that do not fit the base", async () => {
    const wide = { ...linear, rows: 576, a: new Float32Array(2 * 576), b: new Float32Array(576 * 2) };
    await expect(importSource(await write({}, [wide]))).rejects.toThrow("layer 2 v_proj: factors [2,576] and [576,2]");
    const far = { ...linear, layer: 30, a: new Float32Array(2 * 576), b: new Float32Array(192 * 2) };
    await expect(importSource(await write({}, [far]))).rejects.toThrow("layer 30 v_proj is of a layer");
  });
});

describe("a checkpoint", () => {
  it("becomes a base that the build reads, the same whether from GGUF or from Hugging Face's files", async () => {
    const { tokenizer } = await openCheckpoint("smollm2-135m");
    const shape = { ...tinyShape, hidden: 64, headDim: 16, vocab: 49_152, layers: [{ heads: 4, kvHeads: 2, ffn: 96 }] };
    const stack = await stackOf(recipeOf([{}]), { ...tinyCheckpoint({ shape }), tokenizer });
    await putOutput(join(folder, "Small.gguf"), ggufOutput(stack, "f32"));
    await putOutput(join(folder, "small-hf"), huggingFaceOutput(stack, "f32"));
    for (const source of ["Small.gguf", "small-hf"]) {
      const recipe = await recipeIn(await importSource(join(folder, source)));
      expect(recipe).toMatchObject({
        base: recipe.id,
        slots: [{ layer: 0 }],
      });
      await openCheckpoint(recipe.id);
    }
    const [a, b] = [await readCheckpoint("small"), await readCheckpoint("small-hf")];
    expect(a.tensors.map(({ name, type }) => [name, type])).toEqual(b.tensors.map(({ name, type }) => [name, type]));
    for (const [i, { data }] of a.tensors.entries()) expect(Buffer.compare(data, b.tensors[i]!.data)).toBe(0);
    expect(a.tensors.find(({ name }) => name === "blk.0.attn_q.weight")?.type).toBe("q4_1");
    const metadata = (checkpoint: typeof a, key: string) =>
      JSON.stringify((checkpoint.metadata as Record<string, unknown>)[key]);
    for (const key of ["tokens", "merges", "eos_token_id", "pre"]) {
      expect(metadata(b, `tokenizer.ggml.${key}`) === metadata(a, `tokenizer.ggml.${key}`), key).toBe(true);
    }
    await expect(importSource(join(folder, "small-hf"))).rejects.toThrow("is there already");
    await expect(importSource(join(folder, "small-hf"), { force: true })).resolves.toContain("small-hf.json");
  });

  it("refuses what the engines would compute wrongly", async () => {
    const shape = { ...tinyShape, layers: [...tinyShape.layers.slice(1), { heads: 2, kvHeads: 2, ffn: 80 }] };
    const odd = importCheckpoint(tinyCheckpoint({ shape }), { id: "odd" });
    await expect(odd).rejects.toThrow("layer 3 is of another shape");
    const narrow = importCheckpoint(tinyCheckpoint(), { id: "narrow" });
    await expect(narrow).rejects.toThrow(
      "tiny cannot be served: the engine needs hidden size and FFN width in multiples",
    );
  });

  const served = async (change: Partial<Checkpoint["shape"]>, tokens = 49_152): Promise<Checkpoint> => {
    const { tokenizer } = await openCheckpoint("smollm2-135m");
    const layers = [{ heads: 8, kvHeads: 2, ffn: 96 }];
    const shape = { ...tinyShape, hidden: 64, headDim: 8, vocab: 49_152, layers, ...change };
    const metadata = { ...(tokenizer as { metadata: Record<string, unknown> }).metadata };
    for (const key of ["tokens", "token_type"]) {
      metadata[`tokenizer.ggml.${key}`] = (metadata[`tokenizer.ggml.${key}`] as unknown[]).slice(0, tokens);
    }
    return { ...tinyCheckpoint({ shape }), tokenizer: { kind: "gguf", metadata } };
  };

  it("with a llama3 scaling of a small head starts as it is imported", async () => {
    const ropeScaling = {
      type: "llama3",
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalContextLength: 64,
    } as const;
    await importCheckpoint(await served({ ropeScaling }), { id: "small-head" });
    const { base } = await buildBase(await readCheckpoint("small-head"), memoryOutput());
    expect(base.config.ropeScaling).toEqual(ropeScaling);
  });

  it("is refused where the build would refuse it, and nothing is left", async () => {
    const short = importCheckpoint(await served({}, 49_000), { id: "short" });
    await expect(short).rejects.toThrow("it cannot be served: short: the embedding needs token_embd.weight as [49000,");
    const flat = { ...(await served({})), tokenizer: { kind: "gguf" as const, metadata: {} } };
    await expect(importCheckpoint(flat, { id: "flat" })).rejects.toThrow("it has no tokenizer");
    const taken = importCheckpoint(await served({}), { id: BASE });
    await expect(taken).rejects.toThrow(`${BASE} is the name of a base that comes with the project`);
    await expect(readdir(join(folder, "artifacts"))).rejects.toThrow("ENOENT");
  });

  it("names an id that is none", async () => {
    await expect(importSource("models", { id: "Not An Id" })).rejects.toThrow("Not An Id is no id");
  });
});
