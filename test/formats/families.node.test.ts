// The shapes of TinyLlama and of Llama 3.2, scaled down, in shards as they come: read, measured, compressed and handed on.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { matrixOf, withChanges } from "../../compress/apply/overlay.ts";
import { ggufOutput } from "../../compress/export/gguf.ts";
import { type HfType, huggingFaceOutput } from "../../compress/export/hf.ts";
import type { Tokens } from "../../compress/forward/forward.ts";
import { allSlots } from "../../compress/forward/perplexity.ts";
import { measureImportance, wantedOf } from "../../compress/importance/measure.ts";
import { gptqModel } from "../../compress/methods/models.ts";
import { openCheckpoint } from "../../compress/open.ts";
import { type Output, putOutput } from "../../compress/output.ts";
import { stackOf } from "../../compress/stack.ts";
import { readArtifactRecipe, writeArtifact } from "../../compress/store.ts";
import type { Checkpoint, ModelShape } from "../../formats/checkpoint.ts";
import { asPyTorch, frequencies } from "../../src/engine/rope.ts";
import { randomNumbers } from "../compress/random.ts";
import { recipeOf } from "../compress/recipe.ts";
import { tinyCheckpoint, trace } from "../compress/tiny.ts";
import { shard } from "./shards.ts";

interface Family {
  readonly shape: ModelShape;
  readonly untied: boolean;
  readonly type: HfType;
  /** What its config.json says of heads, positions and the head, beside sizes. */
  readonly config: Record<string, unknown>;
}

const layers = (heads: number, kvHeads: number) => new Array(3).fill({ heads, kvHeads, ffn: 160 });
const common = { hidden: 128, headDim: 16, vocab: 96, rmsEps: Math.fround(1e-5) };
const LLAMA3 = { factor: 32, high_freq_factor: 4, low_freq_factor: 1, original_max_position_embeddings: 8192 };
const FAMILIES: Record<string, Family> = {
  "TinyLlama's": {
    shape: { ...common, contextLength: 2048, ropeTheta: 10_000, ropeScaling: undefined, layers: layers(8, 1) },
    untied: true,
    type: "f16",
    config: { num_attention_heads: 8, num_key_value_heads: 1, rope_scaling: null, tie_word_embeddings: false },
  },
  "Llama 3.2's": {
    shape: {
      ...common,
      contextLength: 131_072,
      ropeTheta: 500_000,
      layers: layers(8, 2),
      ropeScaling: { type: "llama3", factor: 32, lowFreqFactor: 1, highFreqFactor: 4, originalContextLength: 8192 },
    },
    untied: false,
    type: "bf16",
    config: {
      num_attention_heads: 8,
      num_key_value_heads: 2,
      head_dim: 16,
      rope_theta: 500_000,
      rope_scaling: { ...LLAMA3, rope_type: "llama3" },
      tie_word_embeddings: true,
    },
  },
};

const next = randomNumbers(3);
const tokens: Tokens = {
  sequences: 6,
  length: 24,
  ids: Int32Array.from({ length: 6 * 24 }, () => Math.floor((next() + 1) * 0.5 * common.vocab)),
};

let folder: string;
let opened: Checkpoint[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "franken-families-"));
  vi.stubEnv("FRANKEN_ARTIFACTS", join(folder, "artifacts"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const checkpoint of opened) await checkpoint.close();
  opened = [];
  await rm(folder, { recursive: true, force: true });
});

async function reopened(name: string, output: Output): Promise<Checkpoint> {
  await putOutput(join(folder, name), output);
  return open(name);
}
async function open(name: string): Promise<Checkpoint> {
  const checkpoint = await openCheckpoint(join(folder, name));
  opened.push(checkpoint);
  return checkpoint;
}
const nllOf = async (checkpoint: Checkpoint) =>
  (await trace(checkpoint, allSlots(checkpoint), [...tokens.ids.subarray(0, 24)])).nll;

describe.each(Object.entries(FAMILIES))("a checkpoint of %s shape", (_, { shape, untied, type, config }) => {
  it("is read from its shards, measured, quantized and exported", async () => {
    const made = tinyCheckpoint({ shape, untied });
    const whole = recipeOf(shape.layers.map((_, layer) => ({ layer })));
    await putOutput(join(folder, "hf"), huggingFaceOutput(await stackOf(whole, made), type));
    await shard(join(folder, "hf"), 2);
    const sizes = {
      model_type: "llama",
      hidden_size: 128,
      intermediate_size: 160,
      num_hidden_layers: 3,
      vocab_size: 96,
      max_position_embeddings: shape.contextLength,
      rms_norm_eps: 1e-5,
      hidden_act: "silu",
    };
    await writeFile(join(folder, "hf/config.json"), JSON.stringify({ ...sizes, ...config }));
    const checkpoint = await open("hf");
    expect(checkpoint.shape).toEqual(shape);
    expect(checkpoint.tensors.has("output.weight")).toBe(untied);
    expect(checkpoint.tensors.get("blk.2.attn_k.weight")).toMatchObject({ type, rows: shape.layers[2]!.kvHeads * 16 });

    const calibration = { tokens, digest: "0".repeat(64), name: "random" };
    const wanted = wantedOf("similarity", "block,attention,mlp");
    for await (const { ranking } of measureImportance({
      checkpoint,
      calibration,
      wanted,
      evaluation: 2,
      removals: 1,
    })) {
      expect(ranking.values).toHaveLength(3);
      for (const { value } of ranking.values) expect(value).toBeGreaterThan(0);
    }

    const options = { bits: 4, kind: "asymmetric", block: 32, part: "both" } as const;
    const { tensors } = await gptqModel({ checkpoint, slots: allSlots(checkpoint), tokens }, options);
    expect(tensors).toHaveLength(3 * 7 + 1);
    const provenance = { method: "gptq", arguments: options, checkpoint: checkpoint.digest, version: "1" };
    await writeArtifact({ recipe: whole, tensors, provenance });
    const stack = await stackOf(await readArtifactRecipe(whole.id), checkpoint);
    const expected = await nllOf(withChanges(checkpoint, tensors));
    expect(expected).not.toEqual(await nllOf(checkpoint));
    const gguf = await reopened("out.gguf", ggufOutput(stack, "stored"));
    for (const [name, output] of [
      ["out.gguf", undefined],
      ["out-hf", huggingFaceOutput(stack, "f32")],
    ] as const) {
      const again = output ? await reopened(name, output) : gguf;
      expect(again.shape).toEqual(shape);
      for (const [i, value] of (await nllOf(again)).entries()) expect(value).toBeCloseTo(expected[i]!, 5);
    }
    for (const change of tensors) expect((await gguf.read(change.name)).values).toEqual(matrixOf(change).values);
    const written = JSON.parse(await readFile(join(folder, "out-hf/config.json"), "utf8"));
    expect(written).toMatchObject(config);
  });
});

it("Llama 3.2 turns as transformers computes it", () => {
  const turns = frequencies({ ...FAMILIES["Llama 3.2's"]!.shape, headDim: 64 }, asPyTorch);
  // Of transformers 5.24.0, ROPE_INIT_FUNCTIONS["llama3"]: whole, smoothed and divided.
  const expected = { 0: 1, 1: 0.663601279258728, 14: 0.0032114461064338684, 15: 0.0012905480107292533 };
  const later = {
    16: 0.000429556705057621,
    17: 9.708286233944818e-5,
    18: 1.9461638657958247e-5,
    31: 9.418306490260875e-8,
  };
  for (const [i, value] of Object.entries({ ...expected, ...later })) {
    expect(Math.abs(turns[Number(i)]! / value - 1)).toBeLessThan(1e-6);
  }
});

it.each([
  ['"tie_word_embeddings": false', "config.json says that the head is not the embedding"],
  ['"other": 1', "config.json does not say so (tie_word_embeddings): set it to true if the embedding is the head"],
])("a model without a head is refused where config.json has %s", async (flag, problem) => {
  const { shape } = FAMILIES["TinyLlama's"]!;
  const whole = recipeOf(shape.layers.map((_, layer) => ({ layer })));
  await putOutput(join(folder, "hf"), huggingFaceOutput(await stackOf(whole, tinyCheckpoint({ shape })), "f16"));
  const file = join(folder, "hf/config.json");
  await writeFile(file, (await readFile(file, "utf8")).replace('"tie_word_embeddings": true', flag));
  await expect(openCheckpoint(join(folder, "hf"))).rejects.toThrow(`tensor lm_head.weight is missing, and ${problem}`);
});
